import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.training.claim import claimed
from lambdanets.training.journal import read_journal

SHORT = ["--set", "batch_size=16", "--set", "num_threads=1"]
TEN_STEPS = [*SHORT, "--set", f"epochs={10 * 16 / 1287}"]


def test_a_run_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", "digits", "--out", str(run), *TEN_STEPS]) == 0
    out = capsys.readouterr().out
    assert re.search(r"step 10/10  loss \d\.\d+  accuracy \d+\.\d%  \d+ images/s  0:00:00 left", out)
    result = json.loads((run / "result.json").read_text())
    assert f"test accuracy {result['test_accuracy']:.2%}" in out
    assert "\x1b" not in out  # no terminal, no colours

    assert main(["train", "digits", "--out", str(run), "--resume"]) == 0
    assert "This run is finished" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train", "digits", "--out", str(run)])
    assert "holds another run" in capsys.readouterr().err


def test_without_a_folder_a_dated_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SHORT, "--set", "epochs=0.01", "--resume"]) == 0
    assert "holds no run: starting a new one" in capsys.readouterr().out
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-digits", run.name)
    assert (run / "result.json").exists()


def test_settings_of_a_begun_run_cannot_be_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--out", str(tmp_path), *SHORT, "--set", "epochs=0.01"]) == 0
    with pytest.raises(SystemExit):
        main(["train", "--out", str(tmp_path), "--resume", "--set", "seed=1"])
    assert "--set cannot change a run" in capsys.readouterr().err


def test_resuming_with_the_run_s_own_settings_is_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["train", "--out", str(tmp_path), *SHORT, "--set", "epochs=0.01", "--set", "seed=1", "--resume"]
    assert main(call) == 0
    assert main(call) == 0
    assert "This run is finished." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seed", "words"),
    [([], "--out runs/demo --set seed=0 --resume"), (["SEED=1"], "--out runs/demo-seed-1 --set seed=1 --resume")],
    ids=["plain", "seed-1"],
)
def test_make_demo_can_be_given_again(seed: list[str], words: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(["make", "-n", "demo", *seed], cwd=root, capture_output=True, text=True, check=True)
    assert f"lambdanets train digits {words}\n" in done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["train", "--out", str(run), *SHORT, "--set", f"epochs={4 * 16 / 1287}"]) == 0
    return run


def change_config(run: Path, **changes: object) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, **changes}))


def replace_by_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda run: change_config(run, model_options={"dim_key": 4}), "config.json describes: put config.json back"),
        (lambda run: change_config(run, model="resnet"), "config.json: unknown model 'resnet'.* Put it back"),
        (lambda run: change_config(run, sed=1), "config.json: unknown field 'sed': did you mean 'seed'. Put it back"),
        (lambda run: change_config(run, epochs=0.01), "asks for 1 steps, but .*checkpoints holds 4: put config.json"),
        (lambda run: replace_by_folder(run / "weights.safetensors"), "weights.safetensors is a folder, .*move it away"),
        (lambda run: replace_by_file(run / "checkpoints"), "checkpoints is a file, wanted a folder: move it away"),
        (lambda run: (run / "metrics.jsonl").write_text('{"step": 1}\nrubbish\n'), "metrics.jsonl, line 2 .*remove"),
        (lambda run: (run / "metrics.jsonl").write_text("[]\n"), "metrics.jsonl, line 1 is not a record .*remove"),
        (lambda run: (run / "metrics.jsonl").write_bytes(b"\xff\n"), "metrics.jsonl, line 1 .*remove"),
        (lambda run: (run / "result.json").write_text('{"x":'), "result.json is damaged .*remove it and"),
        (lambda run: (run / "result.json").write_text('{"x": 1}'), "result.json is damaged .*remove it and"),
    ],
    ids=lambda value: value.split(".json")[0].replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_damaged_folder_is_one_sentence_with_a_way_out_and_stays_as_it_was(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None], message: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "result.json").unlink()
    harm(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        main(["train", "--out", str(run), "--resume"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert re.search(message, said)
    assert len(said.splitlines()) == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("words", [[], ["--resume"]], ids=["anew", "resumed"])
def test_a_folder_whose_run_never_began_can_be_used(tmp_path: Path, words: list[str]) -> None:
    for name in ("environment.json", "config.json.99.tmp"):
        (tmp_path / name).write_text('{"half')
    assert main(["train", "--out", str(tmp_path), *SHORT, "--set", "epochs=0.01", *words]) == 0
    assert (tmp_path / "result.json").exists()
    assert not (tmp_path / "config.json.99.tmp").exists()


def test_ctrl_c_saves_and_the_printed_command_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-c", "import sys; from lambdanets.cli import main; sys.exit(main())", "train", "digits"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(["train", "--out", str(whole), *TEN_STEPS]) == 0

    process = subprocess.Popen(
        [*call, "--out", str(cut), *TEN_STEPS],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while len(read_journal(cut / "metrics.jsonl")) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    saved = re.search(r"Saved at step (\d+) of 10\. To continue:\nlambdanets (train digits --out \S+ --resume)\n", out)
    assert saved is not None
    assert 3 <= int(saved[1]) < 10
    assert not (cut / "result.json").exists()

    resumed = subprocess.run(
        [*call[:-2], *saved[2].split()], env=environment, capture_output=True, text=True, check=True
    )
    assert f"Resumed at step {saved[1]} of 10." in resumed.stdout
    sums = {hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest() for run in (whole, cut)}
    assert len(sums) == 1


def test_a_run_that_diverges_says_why_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=1e30"]
    with pytest.raises(SystemExit) as ended:
        main(["train", "--out", str(tmp_path / "run"), *TEN_STEPS, *wild])
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(r"stay NaN or infinite \(step \d+, after 1 returns .*\): a lower optimizer.learning_rate", said)


def disk_full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def disk_full_inside_torch(*_: object, **__: object) -> None:
    try:
        disk_full()
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 550912 vs 550804")


@pytest.mark.parametrize(
    ("place", "fail", "file", "expected"),
    [
        ("lambdanets.training.checkpoint.torch.save", disk_full_inside_torch, "checkpoints/step-00000004", 74),
        ("os.fsync", disk_full, "", 1),
    ],
    ids=["checkpoint", "first-file"],
)
def test_a_full_disk_is_told_with_the_way_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], place: str, fail: Callable[..., None], file: str, expected: int
) -> None:
    run = tmp_path / "run"
    call = ["train", "--out", str(run), *SHORT, "--set", f"epochs={4 * 16 / 1287}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, fail)
        try:
            code = main(call)
        except SystemExit as ended:
            code = ended.code
    said = capfd.readouterr().err
    assert code == expected
    assert len(said.splitlines()) <= 3
    assert "No space left on device" in said
    assert file in said
    if (run / "metrics.jsonl").exists():
        assert (
            f"is intact: free some space there, then go on with\nlambdanets train digits --out {run} --resume" in said
        )
        assert main([*call, "--resume"]) == 0
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize("words", [[], ["--resume"]], ids=["anew", "resumed"])
def test_a_folder_that_is_trained_into_is_refused_and_untouched(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(tmp_path), pytest.raises(SystemExit) as ended:
        main(["train", "--out", str(tmp_path), *SHORT, *words])
    assert ended.value.code == 2
    assert "is being trained into by another process" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
