"""The benchmark of networks on a GPU, on the device that is here and with small networks."""

import math

import pytest
import torch
from torch import nn

from benchmarks import gpu_models, gpu_networks, models
from benchmarks.gpu_models import LARGEST_BATCH, family, keys_of, measure, printed_about, report, speed_up
from benchmarks.gpu_networks import (
    LARGE_STEP,
    Timing,
    alone,
    beside_convolutions,
    chosen,
    largest_that_fits,
    plain_network,
)
from lambdanets.layers import LambdaLayer
from lambdanets.models import create_model
from lambdanets.study import paper
from lambdanets.study.pareto_members import members
from lambdanets.study.throughput import Network

TINY = Timing(device="cpu", batch=2, seconds=1e-3, rounds=1)
SMALL = Network(name="lambda_tiny", side=32)


def test_without_a_gpu_there_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        models.main(["--device", "cuda", "B7"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "--device cuda: PyTorch finds no GPU here, so nothing was measured.\n"


def test_quick_is_about_what_is_printed() -> None:
    labels = printed_about(family())
    assert labels == {
        "EfficientNet-B6 @ 528", "EfficientNet-B7 @ 600", "LambdaResNet-152 @ 256", "LambdaResNet-270 @ 256",
        "LambdaResNet-350 @ 320",
    }  # fmt: skip
    assert len(keys_of(quick=True)) == 4 + 1 + 2 * len(labels)
    assert len(set(keys_of(quick=False))) == 4 + 1 + 2 * (12 + 8)
    assert keys_of(quick=False)[:15] == keys_of(quick=True)


def test_keys_are_chosen_by_their_parts() -> None:
    keys = keys_of(quick=False)
    assert chosen(keys, ["largest", "B7"]) == [key for key in keys if "largest" in key or "B7" in key]
    assert len(chosen(keys, ["beside"])) == 4
    with pytest.raises(ValueError, match="'B9'; there are: lambda_resnet152"):
        chosen(keys, ["B9"])


def test_every_key_is_asked_of_the_right_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple] = []
    for name in ("alone", "beside_convolutions", "largest_step"):
        monkeypatch.setattr(gpu_models, name, lambda *words, **named: asked.append((*words, named)) or {})
    monkeypatch.setattr(gpu_models, "release", lambda _: None)
    monkeypatch.setattr(gpu_models, "forget_compiled", lambda: None)
    answers = {key: measure(key, TINY) for key in keys_of(quick=False)}
    assert not any("failed" in answer for answer in answers.values())
    assert ("lambda_resnet152", 224, "inference", TINY, {"compiled": True}) in asked
    assert ("lambda_resnet420", 320, TINY, {}) in asked
    assert (Network(name="efficientnet_b7", side=600, library="timm"), "training", TINY, {}) in asked


def test_what_goes_wrong_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(gpu_models, "largest_step", fail)
    assert measure(f"x | {LARGEST_BATCH}", TINY) == {"failed": "ZeroDivisionError: odd"}


@pytest.mark.parametrize("what", ["training", "inference"])
def test_a_network_is_timed(what: str) -> None:
    answer = alone(SMALL, what, TINY)
    assert answer["batch"] == 2
    assert answer["seconds"] > 0


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def call_of(build: object, side: int, batch: int, device: str, *, what: str) -> object:
        tried.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError("no")
        return lambda: None

    monkeypatch.setattr(gpu_networks, "call_of", call_of)
    assert alone(SMALL, "training", Timing(device="cpu", batch=8, seconds=1e-3, rounds=1))["batch"] == 2
    assert tried == [8, 4, 2]
    monkeypatch.setattr(gpu_networks, "call_of", lambda *_, **__: 1 / 0)
    assert alone(SMALL, "training", TINY) == {"failed": "ZeroDivisionError: division by zero"}


def test_a_network_stands_beside_itself_with_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_networks, "create_model", lambda *_, **__: create_model("lambda_tiny", num_classes=1000))
    monkeypatch.setattr(gpu_networks, "plain_network", lambda _: nn.Sequential(nn.Flatten(), nn.Linear(3072, 1000)))
    answer = beside_convolutions("any", 32, "training", TINY, compiled=False)
    assert set(answer) == {"lambda", "plain", "batch"}
    assert answer["lambda"]["seconds"] > answer["plain"]["seconds"] > 0


def test_the_plain_network_has_the_same_blocks_and_no_lambda_layer() -> None:
    with torch.device("meta"):
        plain, ours = plain_network("lambda_resnet50"), create_model("lambda_resnet50")
        assert plain(torch.empty(1, 3, 64, 64)).shape == (1, 1000)
    assert not any(isinstance(module, LambdaLayer) for module in plain.modules())
    count = [sum(p.numel() for p in network.parameters()) for network in (plain, ours)]
    assert count[0] > count[1]


@pytest.mark.parametrize("room", [7, 100, 1003, 5000])
def test_the_largest_batch_is_found_though_the_estimate_is_too_large(room: int) -> None:
    tried: list[int] = []

    def peak_at(batch: int) -> int:
        tried.append(batch)
        if 1.1 * batch + 3 > room and batch > LARGE_STEP:
            raise torch.OutOfMemoryError("no")
        return batch + 3

    if room < 2 * LARGE_STEP:
        with pytest.raises(torch.OutOfMemoryError):
            largest_that_fits(peak_at, lambda: room)
        return
    batch = largest_that_fits(peak_at, lambda: room)
    assert batch % LARGE_STEP == 0
    assert 0.85 * (room - 3) / 1.1 - LARGE_STEP < batch <= (room - 3) / 1.1
    assert len(tried) < 8


def test_speed_ups_are_interpolated_as_in_the_study() -> None:
    """On a machine like the paper's they are those of its own points."""
    answers = {
        f"{member.label} | {what}": {"seconds": (member.seconds or 0) / 3, "batch": 4}
        for member in family()
        for what in ("training", "inference")
    }
    rivals = {member.top1: member for member in members() if member.kind == "EfficientNet"}
    assert speed_up(answers, rivals[84.0], "training") == pytest.approx(3.03 / 0.70)
    assert speed_up(answers, rivals[84.7], "inference") == pytest.approx(6.04 / 1.91)
    assert speed_up(answers, rivals[77.1], "training") is None  # less accurate than every LambdaResNet
    assert speed_up({}, rivals[84.7], "training") is None
    text = report("- here", answers)
    assert "| EfficientNet-B7 @ 600 | 84.7 | 3.20 | 3.16 | 3.16 |" in text
    assert "| LambdaResNet-50 @ 128 | 77.4 |" in text
    assert {top1 for top1, _ in paper.SPEED_UPS} <= set(rivals)


def test_the_report_tells_what_there_is() -> None:
    side = {"lambda": {"seconds": 0.11, "peak": 2**30}, "plain": {"seconds": 0.1, "peak": 2**29}, "batch": 128}
    keys = keys_of(quick=True)
    answers = {keys[0]: side, keys[1]: {**side, "plain": {"seconds": 0.05, "peak": 1}}, "a | b": {"failed": "odd"}}
    answers[next(key for key in keys if LARGEST_BATCH in key)] = {"batch": 96, "seconds": 1.5, "peak": 100 * 2**30}
    answers["EfficientNet-B7 @ 600 | training"] = {"seconds": math.inf, "batch": 1}
    text = report("- here", answers)
    assert "| 128 | 110.0 | 1024 | 100.0 | 512 | 1.100, within 10 % |" in text
    assert "| 2.200, not within 10 % |" in text
    assert "a training step of 96 images takes 1500 ms, 64.0 images/s, at a peak of 100.0 GiB" in text
    assert text.endswith("## Failures\n\n- a | b: odd\n")
