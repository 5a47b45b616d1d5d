"""`evaluate` and `predict` on runs that are whole, half-written, damaged or of another version."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lambdanets.cli import main

CLASSES = [str(digit) for digit in range(10)]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of one command."""
    capsys.readouterr()
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, *capsys.readouterr()


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    """The first training scan, saved as an image: a 0."""
    path = tmp_path / "digit.png"
    Image.fromarray((load_digits().images[0] / 16 * 255).round().astype(np.uint8)).save(path)
    return path


def test_evaluating_prints_what_the_run_recorded(trained_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((trained_run / "result.json").read_text())
    before = contents(trained_run)
    code, out, err = told(["evaluate", str(trained_run)], capsys)
    assert (code, err) == (0, "")
    assert f"test accuracy {result['test_accuracy']:.2%}, 95 % interval " in out
    assert "As the run recorded." in out
    assert sum(line.strip().split()[0] in CLASSES for line in out.splitlines() if line.strip()) == 10
    assert contents(trained_run) == before


def test_evaluating_for_programs(trained_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(["evaluate", str(trained_run), "--json"], capsys)
    scores, result = json.loads(out), json.loads((trained_run / "result.json").read_text())
    assert code == 0
    assert scores["test_accuracy"] == result["test_accuracy"]
    low, high = scores["test_accuracy_interval"]
    assert low < scores["test_accuracy"] < high
    assert scores["as_recorded"]


def test_other_weights_are_noticed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "test_correct": 3}))
    code, out, _ = told(["evaluate", str(run)], capsys)
    assert code == 0
    assert "The run had recorded 3 right." in out


def test_a_lost_report_is_written_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("report.html", "confusion.png", "mistakes.png", "predictions.png"):
        (run / name).unlink()
    code, out, _ = told(["train", "--out", str(run), "--resume"], capsys)
    assert code == 0
    assert f"report  lambdanets evaluate {run} --report" in out
    code, out, _ = told(["evaluate", str(run), "--report"], capsys)
    assert code == 0
    assert f"report  {run / 'report.html'}" in out
    assert {"report.html", "confusion.png", "mistakes.png", "predictions.png"} <= {path.name for path in run.iterdir()}


def test_a_run_judged_on_training_forms_leaves_the_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "held out"
    settings = ["--set", "data.validation_forms=7,8", "--set", "epochs=0.1", "--set", "num_threads=1"]
    code, out, _ = told(["train", "digits", "--out", str(run), *settings], capsys)
    assert code == 0
    assert f"lambdanets evaluate '{run}'" in out
    page = re.sub(r"base64,[^\"]*", "", (run / "report.html").read_text())
    assert "251 validation images" in page
    assert not re.search(r"\b510 (test )?images|\bof (the )?510\b", page)  # a measured share may have these digits
    assert "validation accuracy" in told(["evaluate", str(run)], capsys)[1]


def test_the_command_and_the_way_on_are_kept(trained_run: Path) -> None:
    assert (trained_run / "command.txt").read_text() == f"lambdanets train digits --out {trained_run} --set epochs=1\n"


DAMAGE = {
    "no-config": ("config.json", None, "is not a run: it has no config.json"),
    "torn-config": ("config.json", '{"recipe": "dig', "config.json cannot be read"),
    "config-of-a-list": ("config.json", "[]", "config.json holds no fields"),
    "unknown-recipe": ("config.json", '{"recipe": "imagenet"}', "unknown recipe 'imagenet'"),
    "unknown-field": ("config.json", '{"recipe": "digits", "epoch_count": 3}', "unknown field 'epoch_count'"),
    "no-result": ("result.json", None, "--resume"),
    "torn-result": ("result.json", '{"test_acc', "result.json"),
    "no-weights": ("weights.safetensors", None, "there are no weights at"),
    "torn-weights": ("weights.safetensors", "\0\0", "is not a safetensors file"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_a_run_that_is_none_is_told(
    verb: str, name: str, run: Path, digit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, content, message = DAMAGE[name]
    (run / file).unlink()
    if content is not None:
        (run / file).write_text(content)
    before = contents(run)
    code, out, err = told([verb, str(run), *[str(digit)] * (verb == "predict")], capsys)
    assert (code, out) == (2, "")
    assert str(run)[-9:] in err  # long words are shortened in the middle
    assert message in err
    assert len(err.splitlines()) == 1
    assert contents(run) == before


def test_a_run_of_another_version_names_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "gamma": 1}))
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "lambdanets": "7.3"}))
    assert "is a run of lambdanets 7.3, this is 0." in told(["evaluate", str(run)], capsys)[2]


def test_a_device_that_is_not_there_is_told(trained_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(["evaluate", str(trained_run), "--device", "cuda:99"], capsys)
    assert code == 2
    assert "cuda:99" in err


def test_a_scan_of_the_data_is_predicted_as_in_training(
    trained_run: Path, digit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = told(["predict", str(trained_run), str(digit), "--json"], capsys)
    answer = json.loads(out)
    shares = [entry["probability"] for entry in answer["top"]]
    assert code == 0
    assert answer["image"] == str(digit)
    assert answer["top"][0]["label"] == "0"
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) < 1


def test_a_folder_of_good_and_bad_images(
    trained_run: Path, digit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my photos"
    folder.mkdir()
    shutil.copy(digit, folder / "a.png")
    (folder / "b.jpg").write_text("a letter")
    Image.new("CMYK", (1, 1)).save(folder / "c.tif")
    page = tmp_path / "page.html"
    code, out, err = told(["predict", str(trained_run), str(folder), "--page", str(page)], capsys)
    assert (code, err) == (1, "")  # done, but not for all
    assert f"{folder / 'b.jpg'} is not an image" in " ".join(out.split())
    assert out.endswith(f"page  {page}\n")
    text = page.read_text()
    assert all(name in text for name in ("a.png", "b.jpg", "c.tif"))

    code, out, _ = told(["predict", str(trained_run), str(folder), str(digit), "--json"], capsys)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [Path(line["image"]).name for line in lines] == ["a.png", "b.jpg", "c.tif", "digit.png"]
    assert ["error" in line for line in lines] == [False, True, False, False]


def test_the_example_pictures_are_read(trained_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = Path(__file__).parents[2] / "examples" / "pictures"
    code, out, _ = told(["predict", str(trained_run), str(pictures), "--json"], capsys)
    assert code == 0
    assert len(out.splitlines()) == len(list(pictures.iterdir()))


BLANK = {
    "white.png": Image.new("L", (300, 200), 255),
    "black.jpg": Image.new("RGB", (300, 200)),
    "transparent.png": Image.new("RGBA", (40, 40), (9, 9, 9, 0)),
    "one.png": Image.new("L", (1, 1), 77),
    "wide.png": Image.new("L", (10000, 1), 255),
    "scan.png": Image.new("L", (8, 8), 128),
    "nan.tif": Image.fromarray(np.full((30, 30), np.nan, dtype=np.float32)),
}


def test_of_a_picture_without_ink_nothing_is_said(
    trained_run: Path, digit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, page = tmp_path / "paper", tmp_path / "page.html"
    folder.mkdir()
    for name, picture in BLANK.items():
        picture.save(folder / name)
    shutil.copy(digit, folder / "digit.png")
    code, out, err = told(["predict", str(trained_run), str(folder), "--page", str(page)], capsys)
    assert (code, err) == (1, "")
    rows = {Path(line.split()[0]).name: line.split()[1:] for line in out.splitlines() if "paper" in line}
    assert {name for name, cells in rows.items() if cells == ["no", "ink", "found"]} == set(BLANK)
    assert len(rows["digit.png"]) == 10
    assert page.read_text().count("No ink found") == len(BLANK)

    code, out, _ = told(["predict", str(trained_run), str(folder), "--json"], capsys)
    answers = {Path(answer["image"]).name: answer for answer in map(json.loads, out.splitlines())}
    assert code == 1
    assert {name for name, answer in answers.items() if not answer["top"]} == set(BLANK)
    assert all(answers[name]["note"] == "no ink found" for name in BLANK)

    code, out, _ = told(["predict", str(trained_run), str(folder / "white.png")], capsys)
    assert (code, "no ink found" in out) == (1, True)


ODD_NAMES = (os.fsdecode(b"bad\xff\xfe.png"), "\x1b[2Jred.png", "two\nlines.png", "<i>λ 日本.png")


def test_odd_names_are_shown_as_text_everywhere(
    trained_run: Path, digit: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ODD_NAMES:
        shutil.copy(digit, folder / name)
        (folder / f"broken {name}").write_text("a letter")
    page = tmp_path / "page.html"
    assert main(["predict", str(trained_run), str(folder), "--page", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    table = capfd.readouterr().out
    assert main(["predict", str(trained_run), str(folder), "--json"]) == 1
    lines = capfd.readouterr().out
    for shown in (r"bad\xff\xfe.png", r"\x1b[2Jred.png", r"two\nlines.png"):
        assert shown in text
        assert shown in " ".join(table.split())
    assert "&lt;i&gt;λ 日本.png" in text
    assert not {"\x1b", "\r"} & set(table + text + lines)
    names = [Path(json.loads(line)["image"]).name for line in lines.splitlines()]
    assert {name for name in names if not name.startswith("broken")} == set(ODD_NAMES)  # none is lost


def test_a_mistake_about_an_odd_name_is_plain_text(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "\x1b[2J" + os.fsdecode(b"\xff")])
    assert r"\x1b[2J\xff is not there" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["missing.png"], "missing.png: there is no such file."),
        (["missing.png", "gone.png"], "there is no such file. (and 1 more that cannot be read)"),
        (["letter.jpg"], "letter.jpg is not an image"),
        (["empty"], "empty holds no image"),
        (["digit.png", "--page", "letter.jpg"], "wanted a file name that ends in .html"),
        (["digit.png", "--page", "gone/page.html"], "there is no folder gone"),
        (["missing.png", "--page", "page.html"], "missing.png: there is no such file."),
        (["digit.png", "--page", "/proc/page.html"], "/proc/page.html"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_images_that_are_none_are_told(
    images: list[str], message: str, trained_run: Path, digit: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.jpg").write_text("a letter")
    (tmp_path / "empty").mkdir()
    before = contents(tmp_path)
    code, out, err = told(["predict", str(trained_run), *images], capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert contents(tmp_path) == before


def test_a_read_only_run_serves_and_stays_as_it_is(run: Path, digit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (run, *run.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = contents(run)
    try:
        assert told(["evaluate", str(run)], capsys)[0] == 0
        assert told(["predict", str(run), str(digit)], capsys)[0] == 0
        assert contents(run) == before
    finally:
        run.chmod(0o755)
