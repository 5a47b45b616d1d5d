"""Recipes on pictures, from the command line: trained from all three forms, told what is wrong, fine-tuned."""

import hashlib
import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from lambdanets.cli import main
from lambdanets.data.digits import TEST_FORMS, TRAIN_FORMS, DigitsSplit
from lambdanets.data.export import WRITERS
from lambdanets.data.written_digits import digit_samples
from lambdanets.models import create_model, save_weights

FORMS = ("tree", "shards", "parquet")
TRAINED, JUDGED = 200, 60
"""Pictures of a split."""
SMALL = [
    "data.image_size=32", "batch_size=16", "epochs=0.24", "precision.dtype=float32", "num_threads=1",
    "loader.workers=0", "device=cpu",
]  # fmt: skip


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in all three forms, each in a folder of its name."""
    folder = tmp_path_factory.mktemp("digits")
    for form in FORMS:
        write_some(folder / form, form)
    return folder


def write_some(path: Path, form: str) -> None:
    """The first digits of both splits, as the same bytes in every form."""
    for split, forms, count in (("train", TRAIN_FORMS, TRAINED), ("val", TEST_FORMS, JUDGED)):
        WRITERS[form](islice(digit_samples(forms), count), path, split, DigitsSplit.classes)


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of one command."""
    capsys.readouterr()
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, *capsys.readouterr()


def train(recipe: str, data: Path, run: Path, *settings: str) -> int:
    words = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    return main(["train", recipe, "--data", str(data), "--out", str(run), *words])


def digest(run: Path) -> str:
    return hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the tree; to be looked at, not changed."""
    path = tmp_path_factory.mktemp("runs") / "tree"
    assert train("imagenet_350", digits / "tree", path, "model=lambda_tiny") == 0
    return path


@pytest.mark.parametrize("form", ["shards", "parquet"])
def test_the_three_forms_give_the_same_weights(run: Path, digits: Path, tmp_path: Path, form: str) -> None:
    assert train("imagenet_350", digits / form, tmp_path / "run", "model=lambda_tiny") == 0
    assert digest(tmp_path / "run") == digest(run)
    results = [json.loads((path / "result.json").read_text()) for path in (run, tmp_path / "run")]
    counts = [{name: result[name] for name in result if name.startswith("validation")} for result in results]
    assert counts[0] == counts[1]
    assert counts[0]["validation_images"] == JUDGED


@pytest.mark.slow
def test_a_lambda_resnet_trains_from_all_three_forms_to_the_same_weights(digits: Path, tmp_path: Path) -> None:
    """The issue's own sentence, with the recipe's model, RandAugment, dropout and all."""
    settings = ("model=lambda_resnet50", "data.image_size=64", "batch_size=8", "epochs=0.12")
    for form in FORMS:
        assert train("imagenet_350", digits / form, tmp_path / form, *settings) == 0
    assert len({digest(tmp_path / form) for form in FORMS}) == 1
    config = json.loads((tmp_path / "tree" / "config.json").read_text())
    assert config["model_options"] == {"drop_rate": 0.25, "drop_path_rate": 0.0}
    assert (config["data"]["rand_augment_layers"], config["data"]["rand_augment_magnitude"]) == (2, 10)


def test_a_run_is_judged_and_predicts_without_its_data(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, path = tmp_path / "gone", tmp_path / "run"
    (digits / "shards").rename(gone)
    try:
        assert train("imagenet_90", gone, path, "model=lambda_tiny") == 0
    finally:
        gone.rename(digits / "shards")
    picture = next((digits / "tree" / "val" / "3").iterdir())
    code, out, _ = told(["predict", str(path), str(picture), "--json"], capsys)
    assert code == 0
    assert {entry["label"] for entry in json.loads(out)["top"]} <= set("0123456789")
    code, _, err = told(["evaluate", str(path)], capsys)
    assert code == 2
    assert "there is no such file or folder. If the run's pictures are elsewhere now" in err
    code, out, _ = told(["evaluate", str(path), "--data", str(digits / "shards"), "--json"], capsys)
    assert code == 0
    recorded = json.loads((path / "result.json").read_text())
    assert json.loads(out)["validation_correct"] == recorded["validation_correct"]
    assert json.loads(out)["validation_top5_correct"] == recorded["validation_top5_correct"]


def test_a_run_is_fine_tuned_to_other_classes_at_another_size(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, tuned = tmp_path / "data", tmp_path / "tuned"
    write_some(data, "tree")
    for split in ("train", "val"):
        for digit in "3456789":
            for file in (data / split / digit).iterdir():
                file.unlink()
            (data / split / digit).rmdir()
        for digit, name in zip("012", ("none", "one", "pair"), strict=True):
            (data / split / digit).rename(data / split / name)
    settings = (f"task.init={run}", "data.image_size=40", "epochs=1")
    assert train("fine_tune", data, tuned, *settings) == 0
    config = json.loads((tuned / "config.json").read_text())
    assert config["model"] == "lambda_tiny"  # as the run says that was begun from
    assert json.loads((tuned / "classes.json").read_text()) == ["none", "one", "pair"]
    code, out, _ = told(["evaluate", str(tuned), "--resolutions", "32,48"], capsys)
    assert code == 0
    assert "As the run recorded." in out
    assert {line.split()[0] for line in out.splitlines() if line.strip()} >= {"none", "one", "pair", "32", "48"}
    assert told(["evaluate", str(tuned), "--data", str(data), "--json"], capsys)[0] == 0


def test_fine_tuning_begins_from_all_but_the_classifier(digits: Path, tmp_path: Path) -> None:
    from lambdanets.recipes.registry import find_recipe
    from lambdanets.training.run import prepare_run

    torch.manual_seed(5)
    trained = create_model("lambda_tiny", num_classes=4, in_chans=3)
    save_weights(trained, tmp_path / "trained.safetensors")
    settings = [*SMALL, "model=lambda_tiny", f"data.path={digits / 'tree'}"]
    run = prepare_run(find_recipe("fine_tune", [*settings, f"task.init={tmp_path / 'trained.safetensors'}"]))
    found = run.state.model.state_dict()
    same = {name for name, tensor in trained.state_dict().items() if torch.equal(tensor, found[name])}
    assert set(found) - same == {"classifier.weight", "classifier.bias"}
    assert found["classifier.weight"].shape[0] == 10


FINE_TUNE = ["fine_tune", "--data", "DATA", "--set", "batch_size=4"]
WRONG_MODEL = ["--set", "model=lambda_resnet51", "--set", "batch_size=4"]
MISTAKES = {
    "no-data": (["imagenet_350"], "no data was named: say where the pictures are with --data PATH."),
    "data-for-digits": (["digits", "--data", "DATA"], "the recipe digits brings its own data: leave --data out"),
    "data-by-set": (["digits", "--set", "data.path=x"], "brings its own data"),
    "no-such-data": (["imagenet_90", "--data", "nowhere"], "nowhere: there is no such file or folder."),
    "data-of-no-form": (["imagenet_90", "--data", "letters"], "letters holds no data that is known, wanted a folder"),
    "image-size": (["imagenet_350", "--data", "DATA", "--set", "data.image_size=4"], "got 4, wanted 8 to 4096."),
    "image-too-small": (
        ["imagenet_350", "--data", "DATA", "--set", "data.image_size=16", "--set", "batch_size=4"],
        "images are 16 × 16; wanted at least 32 × 32",
    ),
    "model": (["imagenet_350", "--data", "DATA", *WRONG_MODEL], "did you mean 'lambda_resnet50'?"),
    "batch": (["imagenet_350", "--data", "DATA"], "batch_size: got 4096, wanted 2 to 200"),
    "no-init": ([*FINE_TUNE], "task.init: nothing to begin from was named"),
    "init-gone": ([*FINE_TUNE, "--set", "task.init=gone"], "there are no weights at gone"),
    "init-no-run": ([*FINE_TUNE, "--set", "task.init=letters"], "letters is not a run"),
    "init-of-other": (
        [*FINE_TUNE, "--set", "task.init=tiny.safetensors", "--set", "model=resnet50_cccc"],
        "does not fit this model",
    ),
    "init-of-grey": (
        [*FINE_TUNE, "--set", "task.init=tiny.safetensors", "--set", "model=lambda_tiny"],
        "data.mean and data.std to one number each",
    ),
    "init-no-weights": (
        [*FINE_TUNE, "--set", "task.init=letters/letter.txt"],
        "is not a safetensors file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    name: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("Dear reader")
    save_weights(create_model("lambda_tiny", in_chans=1), tmp_path / "tiny.safetensors")  # of grey pictures
    before = sorted(tmp_path.rglob("*"))
    words, message = MISTAKES[name]
    words = [str(digits / "tree") if word == "DATA" else word for word in words]
    settings = ["--set", "device=cpu"]
    code, out, err = told(["train", *words, "--out", "run", *settings], capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resolutions", "big"], "--resolutions: got 'big', wanted image sizes, such as 160,192,224."),
        (["--resolutions", "4"], "data.image_size: got 4, wanted 8 to 4096."),
        (["--resolutions", "16"], "images are 16 × 16; wanted at least 32 × 32"),
        (["--data", "nowhere"], "nowhere: there is no such file or folder."),
        (["--data", "DATA", "--report"], "leave --data or --report out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_judged_is_told(
    words: list[str], message: str, run: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(digits / "tree") if word == "DATA" else word for word in words]
    code, out, err = told(["evaluate", str(run), *words], capsys)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("option", [["--data", "x"], ["--resolutions", "32"]], ids=str)
def test_the_digits_are_judged_on_their_own(
    option: list[str], trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = told(["evaluate", str(trained_run), *option], capsys)
    assert code == 2
    assert f"leave {option[0]} out." in err
