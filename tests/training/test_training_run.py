import hashlib
import json
from pathlib import Path

import pytest
import torch

from lambdanets.models import create_model, load_weights
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.config import Config
from lambdanets.training.cores import usable_cores
from lambdanets.training.folder import RunFolder, read_config
from lambdanets.training.host import Watcher
from lambdanets.training.journal import Record, read_journal
from lambdanets.training.override import from_json, with_assignments
from lambdanets.training.run import Run, begin_run, finish_run, prepare_run, read_result, resume_run, train_run

STEPS = 6
SHORT = ["batch_size=16", f"epochs={STEPS * 16 / 1287}", "num_threads=1", "checkpoint.every_steps=2"]


def configured(*assignments: str) -> Config:
    return with_assignments(find_recipe("digits"), [*SHORT, *assignments])


def trained(path: Path, *assignments: str) -> tuple[Run, RunFolder]:
    run = prepare_run(configured(*assignments))
    folder = begin_run(run, path)
    assert train_run(run, folder)
    return run, folder


def fingerprint(run: Run) -> str:
    """One sum of everything that training changes: model, average and optimizer, bit for bit."""
    total = hashlib.sha256()

    def add(part: object) -> None:
        if isinstance(part, torch.Tensor):
            total.update(part.contiguous().numpy().tobytes())
        elif isinstance(part, dict):
            for key in sorted(part, key=str):
                add(part[key])
        elif isinstance(part, list | tuple):
            for item in part:
                add(item)
        else:
            total.update(repr(part).encode())

    add(run.state.capture())
    return total.hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, RunFolder]:
    return trained(tmp_path_factory.mktemp("runs") / "undisturbed")


def test_the_same_seed_gives_the_same_bits(undisturbed: tuple[Run, RunFolder], tmp_path: Path) -> None:
    torch.rand(3)
    assert fingerprint(trained(tmp_path / "again")[0]) == fingerprint(undisturbed[0])


def timeless(folder: RunFolder) -> list[Record]:
    """The journal without what differs from one machine, and one hour, to the next."""
    return [
        {name: value for name, value in record.items() if "seconds" not in name and name != "memory_mib"}
        for record in read_journal(folder.metrics)
    ]


def test_another_seed_gives_another_run(undisturbed: tuple[Run, RunFolder], tmp_path: Path) -> None:
    assert fingerprint(trained(tmp_path / "other", "seed=1")[0]) != fingerprint(undisturbed[0])


@pytest.mark.parametrize("stop_at", range(STEPS))
def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(
    undisturbed: tuple[Run, RunFolder], tmp_path: Path, stop_at: int
) -> None:
    first = prepare_run(configured())
    folder = begin_run(first, tmp_path / "run")
    assert not train_run(first, folder, Watcher(stop=lambda: first.state.step == stop_at))
    second = prepare_run(from_json(find_recipe("digits"), read_config(folder)))
    assert resume_run(second, folder) == [f"Resumed at step {stop_at} of {STEPS}."]
    assert train_run(second, folder)
    assert fingerprint(second) == fingerprint(undisturbed[0])
    assert timeless(folder) == timeless(undisturbed[1])


def test_steps_after_the_last_checkpoint_are_taken_again(undisturbed: tuple[Run, RunFolder], tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die_after_five(record: dict) -> None:
        if record["step"] == 5:
            raise Killed

    first = prepare_run(configured())
    folder = begin_run(first, tmp_path / "run")
    with pytest.raises(Killed):
        train_run(first, folder, Watcher(show=die_after_five))
    (folder.checkpoints / "step-00000004" / "state.pt").write_bytes(b"rot")
    second = prepare_run(configured())
    notes = resume_run(second, folder)
    assert "step-00000004: state.pt is not what was written" in notes[0]
    assert notes[1] == f"Resumed at step 2 of {STEPS}."
    assert [record["step"] for record in read_journal(folder.metrics)] == [1, 2]
    assert train_run(second, folder)
    assert fingerprint(second) == fingerprint(undisturbed[0])


def test_a_folder_without_a_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    run = prepare_run(configured())
    folder = begin_run(run, tmp_path / "run")
    assert resume_run(run, folder) == [f"{folder.path} has no checkpoint: starting from the beginning."]
    assert run.state.step == 0


def test_a_finished_folder_says_everything(tmp_path: Path) -> None:
    run, folder = trained(tmp_path / "run")
    assert read_result(folder) is None
    result = finish_run(run, folder)
    assert {path.name for path in folder.path.iterdir()} == {
        "config.json",
        "classes.json",
        "environment.json",
        "metrics.jsonl",
        "checkpoints",
        "curves.png",
        "result.json",
        "weights.safetensors",
        "MANIFEST.json",
    }
    assert folder.result.read_text().count("\n") == 1
    assert read_result(folder) == result
    assert result["test_images"] == 510
    assert result["test_accuracy"] == int(result["test_correct"] or 0) / 510
    assert from_json(find_recipe("digits"), read_config(folder)) == run.config
    environment = json.loads(folder.environment.read_text())
    assert environment["num_threads"] == 1
    assert environment["cores"] == usable_cores() <= environment["cores_of_machine"]
    assert "command" not in environment  # command.txt has it, in one form
    assert [record["step"] for record in read_journal(folder.metrics)] == list(range(1, STEPS + 1))
    assert folder.curves.read_bytes().startswith(b"\x89PNG")


def test_the_kept_weights_are_the_judged_ones(tmp_path: Path) -> None:
    run, folder = trained(tmp_path / "run")
    result = finish_run(run, folder)
    model = create_model("lambda_tiny", num_classes=10, in_chans=1)
    load_weights(model, folder.weights)
    assert run.task.evaluate(model)["loss"] == result["test_loss"]


def test_held_out_forms_are_judged_in_place_of_the_test(tmp_path: Path) -> None:
    run, folder = trained(tmp_path / "run", "data.validation_forms=3")
    result = finish_run(run, folder)
    assert result["validation_images"] == 130
    assert not any(name.startswith("test") for name in result)


def test_evaluation_leaves_the_mode_of_the_model_and_counts_every_image() -> None:
    run = prepare_run(configured("batch_size=100"))
    model = run.state.model.train()
    scores = run.task.evaluate(model)
    assert model.training
    assert scores["images"] == 510
    whole = prepare_run(configured("batch_size=510")).task.evaluate(model)
    assert whole["correct"] == scores["correct"]


def test_a_network_learns_sixteen_digits_by_heart(tmp_path: Path) -> None:
    run = prepare_run(configured("epochs=0.6", "batch_size=16", "optimizer.learning_rate=0.01"))
    batch = run.task.train.plain(range(16))  # type: ignore[attr-defined]
    for _ in range(30):
        loss, metrics = run.task.loss(run.state.model, batch)
        run.state.optimizer.zero_grad()
        loss.backward()
        run.state.optimizer.step()
    assert metrics["accuracy"] == 1.0


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="which this machine does not have: use device=cpu"):
        prepare_run(configured(f"device={device}"))


def test_nothing_is_written_for_a_model_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="did you mean 'lambda_tiny'"):
        prepare_run(configured("model=lambda_tny"))


@pytest.mark.parametrize("error", [TypeError, RuntimeError, MemoryError, torch.OutOfMemoryError])
def test_settings_with_which_no_step_can_be_taken_are_the_user_s_mistake(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("you tried to allocate 64 TB\nand more lines")

    monkeypatch.setattr("lambdanets.training.classification.ClassificationTask.loss", fail)
    with pytest.raises(ValueError, match=r"no step can be taken \(you tried to allocate 64 TB\): change model"):
        prepare_run(configured())


def test_the_trial_leaves_no_trace_in_the_model() -> None:
    run = prepare_run(configured())
    assert all(
        torch.equal(a, b) for a, b in zip(run.state.model.buffers(), run.task.build_model().buffers(), strict=True)
    )
