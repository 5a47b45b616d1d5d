"""A detector at the command line: trained, judged again, tried on photos."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch import nn

from lambdanets.cli import main
from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.data.scene_folder import write_scenes
from lambdanets.detection.task import DetectionTask

FEW = (
    "num_threads=1", "batch_size=4", "epochs=1", "data.num_train=8", "data.num_test=4", "task.detector.pyramid_dim=16",
    "task.detector.box_dims=16", "task.detector.box_hidden=16", "task.detector.mask_dims=16",
    "task.detector.score_threshold=0.001",
)  # fmt: skip


SMALL = ("--set", "data.num_train=8", "--set", "data.num_test=4")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A detector of two steps, and how often it looked for what is in the judged pictures."""
    path, looks, detect = tmp_path_factory.mktemp("detector") / "run", [], DetectionTask.detect

    def counted(task: DetectionTask, model: nn.Module) -> Any:
        looks.append(task)
        return detect(task, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetectionTask, "detect", counted)
        assert main(["train", "digit_scenes", "--out", str(path), *(f"--set={setting}" for setting in FEW)]) == 0
    return path, len(looks)


@pytest.fixture
def run(trained: tuple[Path, int]) -> Path:
    return trained[0]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures of the same name, and a file that is none."""
    for folder, colour in (("a", "white"), ("b", "red")):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        Image.new("RGB", (120, 70), colour).save(tmp_path / "photos" / folder / "x.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def said(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    assert main(words) == code
    return capsys.readouterr().out


def test_it_says_how_good_it_is_when_it_is_trained(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(["train", "digit_scenes", "--out", str(run), "--resume"], capsys)
    result = json.loads((run / "result.json").read_text())
    assert (
        f"test box AP {100 * result['test_box_ap']:.1f}, mask AP {100 * result['test_mask_ap']:.1f} (4 images)" in out
    )
    assert [one["name"] for one in json.loads((run / "classes.json").read_text())] == list("0123456789")


def test_it_is_judged_once_at_its_end_and_reported(trained: tuple[Path, int]) -> None:
    path, looks = trained
    assert looks == 1
    box_ap = json.loads((path / "result.json").read_text())["test_box_ap"]
    assert f"{100 * box_ap:.1f}" in (path / "report.html").read_text()


def test_it_is_judged_again_as_recorded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(["evaluate", str(run)], capsys)
    assert "As the run recorded." in out
    assert all(row in out for row in ("AP50", "AP75", "AP_small", "AR100", "AP/7"))
    found = json.loads(said(["evaluate", str(run), "--json"], capsys))
    result = json.loads((run / "result.json").read_text())
    assert found["as_recorded"] is True
    assert all(found[name] == result[name] for name in result if name.startswith("test_"))


def test_what_is_found_is_drawn_and_written_as_coco_does(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(photos / "a" / "x.png"), str(photos / "broken.png"), str(photos / "b" / "x.png")]
    out = said(["predict", str(run), *given, "--draw", str(tmp_path / "drawn")], capsys, code=1)
    assert "broken.png" in out
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["1-x.png", "3-x.png", "detections.json"]
    with Image.open(tmp_path / "drawn" / "1-x.png") as drawn:
        assert drawn.width >= 120
    results = json.loads((tmp_path / "drawn" / "detections.json").read_text())
    assert {one["image_id"] for one in results} <= {1, 3}
    assert results
    assert all(one["segmentation"]["size"] == [70, 120] and 1 <= one["category_id"] <= 10 for one in results)


def test_programs_get_a_line_a_picture(run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(["predict", str(run), str(photos / "a"), "--json"], capsys)
    (line,) = map(json.loads, out.splitlines())
    assert Path(line["image"]).name == "x.png"
    assert {"image_id", "file_name", "category_id", "bbox", "score", "segmentation"} == set(line["detections"][0])


def test_programs_are_told_of_a_picture_that_cannot_be_read(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(photos / "broken.png"), str(photos / "a" / "x.png")]
    told, found = map(json.loads, said(["predict", str(run), *given, "--json"], capsys, code=1).splitlines())
    assert told == {"image": given[0], "error": told["error"]}
    assert "broken.png" in told["error"]
    assert set(found) == {"image", "detections"}


def test_a_kill_costs_nothing(tmp_path: Path) -> None:
    settings = [f"--set={setting}" for setting in (*FEW, "epochs=3", "checkpoint.every_steps=2")]
    assert main(["train", "digit_scenes", "--out", str(tmp_path / "undisturbed"), *settings]) == 0
    words = ["train", "digit_scenes", "--out", str(tmp_path / "killed"), *settings]
    plan = json.dumps([{"place": "step: update", "action": "kill", "at": 4}])
    killed = subprocess.run([sys.executable, "-m", "lambdanets.faults", plan, "--", *words], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert main([*words[:4], "--resume"]) == 0
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("undisturbed", "killed")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "RUN", "PHOTO", "--page", "x.html"], "name a folder, --draw OUT"),
        (["predict", "RUN", "PHOTO", "--draw", "PHOTO"], "is a file; name a folder"),
        (["predict", "RUN", "PHOTO", "--draw", "FOLDER"], "holds pictures to be drawn on"),
        (["predict", "RUN", "BROKEN"], "broken.png"),
        (["evaluate", "RUN", "--resolutions", "96,128"], "takes pictures of every size"),
        (["evaluate", "RUN", "--data", "PHOTO"], "is judged on its own data"),
        (["pseudo-label", "RUN", "--data", "PHOTO", "--out", "x.jsonl"], "does not classify images"),
        (["train", "digit_scenes", "--data", "x"], "brings its own data"),
        (["train", "coco_mask_rcnn"], "--data PATH"),
        (["train", "digit_scenes", *SMALL, "--set", "task.init=nowhere"], "no weights"),
        (["train", "digit_scenes", "--set", "task.detector.levels=2,4"], "levels"),
        (["train", "digit_scenes", "--set", "precision.compile=true"], "does not know how to compile a detector"),
        (["train", "digit_scenes", *SMALL, "--set", "model=lambda_scene"], "lambda_scenes"),
        (["train", "digit_scenes", *SMALL, "--set", "model_options.in_chans=1"], "the data decides it"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistakes_are_told(
    run: Path, photos: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": run, "PHOTO": photos / "a" / "x.png", "FOLDER": photos / "a", "BROKEN": photos / "broken.png"}
    with pytest.raises(SystemExit) as ended:
        main([str(places.get(word, word)) for word in words])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_folder_with_nothing_to_train_on_is_enough_to_judge_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenes(SceneConfig(num_train=8, num_test=4), tmp_path / "coco")
    settings = [f"--set={setting}" for setting in FEW if not setting.startswith("data.")]
    settings += [f"--set={setting}" for setting in ("model=lambda_scenes", "data.image_size=96", "device=cpu")]
    settings += ["--set=precision.dtype=float32", "--set=loader.workers=0"]
    words = ["train", "coco_mask_rcnn", "--data", str(tmp_path / "coco"), "--out", str(tmp_path / "run")]
    (tmp_path / "coco" / "train" / "000003.png").write_bytes(b"no picture")
    assert "1 training image could not be read and taught nothing" in said([*words, *settings], capsys)
    recorded = json.loads((tmp_path / "run" / "result.json").read_text())
    shutil.rmtree(tmp_path / "coco" / "train")
    (tmp_path / "coco" / "annotations" / "instances_train.json").unlink()
    found = json.loads(said(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "coco"), "--json"], capsys))
    assert found["validation_images"] == 4
    assert all(found[name] == recorded[name] for name in recorded if name.startswith("validation_"))
