"""The benchmark of layers on a GPU, on the device that is here: what it measures, survives, and tells."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks import gpu_layers, layers
from benchmarks.cases import CASES, GPU_CASES, Case, multiply_adds, position_products
from benchmarks.gpu_calls import OUT_OF_MEMORY, Guarded
from benchmarks.gpu_layers_report import report
from benchmarks.gpu_plan import MODES, RATES, Plan, key_of, plan_of
from benchmarks.gpu_rivals import BiasedAttention, natten
from benchmarks.journal import Journal, work
from benchmarks.peers import CONTENDERS, Contender, Unable, attention
from benchmarks.peers import ours as our_layer
from lambdanets import create_model
from lambdanets.layers import LambdaLayer
from lambdanets.ops.choice import ORDERS

CASE = Case(size=(4, 5), r=3, b=2, d=16)
OURS = CONTENDERS[0]


class Failing(nn.Module):
    """A layer that runs, or says what a device says."""

    def __init__(self, error: Exception, only_training: bool = False):
        super().__init__()
        self.error, self.only_training = error, only_training

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not self.only_training:
            raise self.error
        return x


def unable(_: Case) -> nn.Module:
    raise Unable("another day")


def small_plan(*contenders: Contender, modes: tuple[str, ...] = ("eager",)) -> Plan:
    return Plan(device="cpu", cases=(CASE,), modes=modes, contenders=contenders, seconds=1e-3, matrix=32, copied=64)


def answers_of(plan: Plan, folder: Path) -> dict:
    journal = Journal(folder / "a.jsonl")
    work(plan.keys, journal, lambda key: gpu_layers.measure(plan, journal, key))
    return journal.answers


def test_the_cases_are_those_of_the_cpu_with_larger_batches_and_two_of_a_network() -> None:
    names = [case.name for case in GPU_CASES]
    assert names[:4] == ["32² r 23 b 64", "64² global b 16", "c4: 14² r 23 b 128", "c5: 7² r 23 d 512 b 128"]
    assert {dataclasses.replace(case, b=case.b // 16) for case in GPU_CASES if not case.place} == set(CASES)
    assert len(set(names)) == len(CASES) + 2


def test_the_cases_of_a_network_are_its_layers() -> None:
    with torch.device("meta"):
        network = create_model("lambda_resnet50")  # of the same widths as 152
    there = {
        (layer.dim_value * layer.num_heads, layer.dim_key, layer.num_heads, layer.dim_intra, layer.positions.scope)
        for layer in network.modules()
        if isinstance(layer, LambdaLayer) and layer.positions is not None
    }
    assert there == {(case.d, case.k, case.h, case.u, case.scope) for case in GPU_CASES if case.place}


def test_names_choose_cases_and_contenders_and_ours_is_always_there() -> None:
    plan = plan_of("cuda", ["c4", "64² gl"], ["eager"], ["conv 3"])
    assert [case.name for case in plan.cases] == ["64² global b 16", "c4: 14² r 23 b 128"]
    assert [one.name for one in plan.contenders] == ["ours", "conv 3×3"]
    assert plan.keys == [RATES, "64² global b 16 | eager", "c4: 14² r 23 b 128 | eager"]
    assert len(plan_of("cuda", [], [], [], quick=True).keys) == 1 + 4 * len(MODES)


@pytest.mark.parametrize("words", [("c9", "", ""), ("", "fast", ""), ("", "", "nobody")])
def test_unknown_names_are_refused_with_what_there_is(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"{''.join(words)}'; there are"):
        plan_of("cuda", *([word] if word else [] for word in words))


def test_without_a_gpu_there_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        layers.main(["--device", "cuda", "--quick"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "finds no GPU" in said.err


def test_all_that_runs_is_timed_and_what_fails_says_why(tmp_path: Path) -> None:
    plan = small_plan(
        OURS,
        Contender("large", lambda _: Failing(torch.OutOfMemoryError("no"), only_training=True), True),
        Contender("broken", lambda _: Failing(KeyError("odd")), True),
        Contender("away", unable, False),
        Contender("peer", our_layer, True, channels_last=True),
    )
    found = answers_of(plan, tmp_path)
    assert found[RATES]["products"] > 0 < found[RATES]["copy"]
    row = found[key_of(CASE, "eager")]
    assert set(row["ours"]) == set(row["peer"]) == {"forward", "training", "peak"}
    assert set(row["large"]) == {"forward", "failed"}
    assert row["large"]["failed"] == f"training: {OUT_OF_MEMORY}"
    assert row["broken"] == {"failed": "forward: KeyError: 'odd'"}
    assert row["away"] == {"unable": "another day"}
    text = report(plan, "- here and now", found)
    assert "- here and now\n- measured here: " in text
    line = next(line for line in text.splitlines() if line.startswith(f"| {CASE.name}"))
    assert "| failed | – |" in line
    training = [line for line in text.splitlines() if line.startswith(f"| {CASE.name}")][1]
    assert "| OOM | failed | – |" in training
    assert "- eager, forward + backward: best peer / ours, geometric mean" in text
    assert text.endswith(f"## Failures\n\n- {key_of(CASE, 'eager')}: broken: forward: KeyError: 'odd'\n")


def test_the_position_part_is_timed_by_order(tmp_path: Path) -> None:
    plan = small_plan(OURS, modes=("orders",))
    found = answers_of(plan, tmp_path)
    took = found[key_of(CASE, "orders")]
    assert took
    assert set(took) <= {order.NAME for order in ORDERS}
    took["triton"] = {"forward": 1.0, "backward": 2.0}
    text = report(plan, "", found)
    assert "| 1e+03 + 2e+03 | 0% + 0% |" in text


def test_a_contender_that_killed_its_process_is_left_out(tmp_path: Path) -> None:
    plan, key = small_plan(OURS, Contender("deadly", our_layer, True)), key_of(CASE, "eager")
    journal = Journal(tmp_path / "a.jsonl")
    journal.begin(key, "deadly")
    journal.bury("ended with exit code -11")
    answer = gpu_layers.measure(plan, journal, key)
    assert answer["deadly"] == {"failed": "forward: the process ended with exit code -11"}
    assert "training" in answer["ours"]
    journal.begin(key, "timing")
    journal.bury("said nothing for 9 s")
    assert gpu_layers.measure(plan, journal, key) == {"failed": "said nothing for 9 s"}
    assert "said nothing for 9 s" in report(plan, "", {key: gpu_layers.measure(plan, journal, key)})


def test_an_empty_report_can_be_written() -> None:
    assert report(small_plan(OURS), "- here", {}).startswith("# Layers on a GPU")


def test_a_guarded_call_fails_once_and_then_does_nothing() -> None:
    guard, ran = Guarded("cpu"), []

    def fail() -> None:
        ran.append(1)
        raise ValueError("first line\nsecond line")

    call: Callable[[], object] = guard(fail)
    call()
    call()
    assert ran == [1]
    assert guard.failed == "ValueError: first line"


def test_products_outside_windows_are_not_counted() -> None:
    case = Case(size=(32, 32), r=23, b=2)
    problem = case.problem("cuda", torch.bfloat16)
    triton = next(order for order in ORDERS if order.NAME == "triton")
    inside = position_products(problem, triton, False)
    assert inside == 2 * 16 * 64 * (problem.pairs + 1024 * 4)
    assert position_products(problem, triton, True) == 3 * inside
    assert inside < triton.cost(problem, False).multiply_adds
    assert multiply_adds(case, True) > multiply_adds(case, False) > 0


@pytest.mark.parametrize("case", [CASE, Case(size=(6,), r=None, b=1, d=8), Case(size=(2, 3, 2), r=3, b=1, d=8)])
@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_has_its_bias_and_window_in_place(case: Case) -> None:
    layer = BiasedAttention(case, fused=False)
    nn.init.normal_(layer.bias)
    x = torch.randn(case.b, case.d, *case.size)
    places = torch.cartesian_prod(*(torch.arange(side) for side in case.size)).view(-1, len(case.size))
    away = places[None] - places[:, None]  # context less query, (n, m, axes)
    index = torch.zeros(away.shape[:2], dtype=torch.long)
    for axis, side in enumerate(case.size):
        index = index * (2 * side - 1) + away[..., axis] + side - 1
    seen = torch.ones_like(index, dtype=torch.bool) if case.r is None else (away.abs() <= case.r // 2).all(-1)
    bias = layer.bias[:, index].masked_fill(~seen, -math.inf)
    query, key, value = layer.qkv(x.flatten(2)).unflatten(1, (3, case.h, -1)).transpose(-1, -2).unbind(1)
    wanted = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.detach())
    wanted = wanted.transpose(-1, -2).flatten(1, 2).unflatten(2, case.size)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), wanted)


def test_neighbourhoods_larger_than_the_map_are_refused() -> None:
    for case in (Case(size=(4, 4), r=7, b=1), Case(size=(4, 4), r=None, b=1)):
        with pytest.raises(Unable, match="fits into the map"):
            natten(case)


def test_only_a_cpu_refuses_what_is_too_large() -> None:
    case = Case(size=(128, 128), r=None, d=64, b=1)
    sdpa = next(one for one in CONTENDERS if one.build is attention)
    assert sdpa.too_large(case) == "takes minutes a step"
    with pytest.raises(Unable, match="takes minutes"):
        layers.built(sdpa, case)
    assert isinstance(sdpa.build(case), nn.Module)
    assert [one.name for one in CONTENDERS if one.too_large(case)] == ["lambda-networks", "timm", "SDPA", "BoTNet"]
