"""`lambdanets pseudo-label`: from a teacher to a student, and what is refused on the way."""

from pathlib import Path

import pytest

from lambdanets.cli import labelling, main
from lambdanets.data.loader import LoaderError
from lambdanets.data.pseudo import read_labels


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    few = ["--set", "data.labelled=100", "--set", "epochs=1", "--set", "num_threads=1"]
    assert main(["train", "digits", "--out", str(folder), *few]) == 0
    return folder


@pytest.fixture(scope="module")
def labels(teacher: Path) -> Path:
    path = teacher.parent / "labels.jsonl"
    assert main(["pseudo-label", str(teacher), "--out", str(path), "--soft", "--min-confidence", "0"]) == 0
    return path


def test_the_rest_of_the_digits_is_labelled(teacher: Path, labels: Path) -> None:
    found = read_labels(labels)
    assert len(found.names) == 1187
    assert found.header["teacher"]["run"] == str(teacher)
    assert found.classes == tuple("0123456789")


def test_a_student_learns_from_both(labels: Path, tmp_path: Path) -> None:
    settings = [f"data.pseudo.labels={labels}", "data.labelled=100", "epochs=0.1", "num_threads=1"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert main(["train", "digits", "--out", str(tmp_path / "student"), *words]) == 0
    assert main(["evaluate", str(tmp_path / "student")]) == 0


def test_other_filters_choose_anew_without_labelling(
    teacher: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = labels.with_name("labels.jsonl.journal")
    before = journal.stat().st_mtime_ns
    assert main(["pseudo-label", str(teacher), "--out", str(labels), "--min-confidence", "0", "--balance", "9"]) == 0
    assert journal.stat().st_mtime_ns == before
    assert len(read_labels(labels).names) <= 90
    assert "beyond --balance" in capsys.readouterr().out
    assert main(["pseudo-label", str(teacher), "--out", str(labels), "--min-confidence", "1"]) == 1
    assert "lower --min-confidence" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-confidence", "2"], "--min-confidence"),
        (["--balance", "0"], "--balance"),
        (["--batch-size", "0"], "--batch-size"),
        (["--workers", "999"], "--workers"),
        (["--views", "999"], "--views"),
        (["--data", "photos"], "wanted 'digits'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_and_nothing_is_written(
    teacher: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pseudo-label", str(teacher), "--out", str(tmp_path / "labels"), *options])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_ours_is_left_alone(teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["pseudo-label", str(teacher), "--out", str(tmp_path / "notes")])
    assert ended.value.code == 2
    assert (tmp_path / "notes").read_text() == "mine"


def test_workers_that_are_lost_again_and_again_are_told_with_what_is_kept(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise LoaderError("no batch came from 4 workers in a row. Set loader.workers=0.")

    monkeypatch.setattr(labelling, "label_pool", lost)
    with pytest.raises(SystemExit) as ended:
        main(["pseudo-label", str(teacher), "--out", str(tmp_path / "labels")])
    assert ended.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("lambdanets: no batch came from 4 workers in a row.")
    assert told[1].endswith("labels.journal; the same command goes on from there. Here loader.workers is --workers.")
