"""Prices are fitted to measured times, for a GPU as for a CPU, and written as the module that holds them."""

import random
from pathlib import Path

import pytest
import torch

from benchmarks import prices
from benchmarks.choice import MOST_NUMBERS
from lambdanets.ops import measured_prices
from lambdanets.ops.choice import ORDERS
from lambdanets.ops.cost import is_measured
from lambdanets.ops.explanation import Measurement
from lambdanets.ops.impl.triton.pricing import PRICES
from lambdanets.ops.tuning import drawn_problem, on_gpu

TRITON = next(order for order in ORDERS if order.NAME == "triton")


def gpu_problems(count: int) -> list:
    draw = random.Random(5)
    return [on_gpu(drawn_problem(draw, MOST_NUMBERS)) for _ in range(count)]


def as_priced(problem, seconds=0.15):
    """As if every order took what is predicted for it."""
    orders = [order for order in ORDERS if order.why_not(problem) is None]
    return {o.NAME: Measurement(forward=o.cost(problem, False).seconds, backward=o.cost(problem, True).seconds)
            for o in orders}  # fmt: skip


def test_without_a_gpu_there_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        prices.main(["--device", "cuda"])
    assert ended.value.code == 2
    assert "finds no GPU" in capsys.readouterr().err


def test_a_fit_to_predicted_times_finds_their_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prices, "measure_orders", as_priced)
    monkeypatch.setattr(prices, "release", lambda _: None)
    points = prices.measured(gpu_problems(24), tmp_path / "m.jsonl")
    fitted = prices.fitted(points)
    assert set(fitted) == {order.NAME for order in ORDERS}
    for kind, (forward, backward) in PRICES[2].items():
        assert fitted["triton"][kind][0] == pytest.approx(forward, rel=0.02)
        if kind != "products":  # backward, they and the gradients' products tell the same
            assert fitted["triton"][kind][1] == pytest.approx(backward, rel=0.5)
    assert "triton: 24 problems, rms error 0% and" in capsys.readouterr().out
    assert prices.goodness(points, fitted).startswith("choosing by these: within 20 % of the best order in 2")


def test_measuring_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(prices, "measure_orders", lambda problem, _: asked.append(problem) or as_priced(problem))
    monkeypatch.setattr(prices, "release", lambda _: None)
    problems = gpu_problems(3)
    prices.measured(problems[:2], tmp_path / "m.jsonl")
    with (tmp_path / "m.jsonl").open("a") as file:
        file.write("{}\n")  # a problem that the GPU was lost at
    points = prices.measured(problems, tmp_path / "m.jsonl")
    assert asked == problems[:2]
    assert [problem for problem, _ in points] == problems[:2]


def test_the_written_module_is_read_by_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {("cuda", 2): {"triton": {"products": (1e-15, 0.0), "setup": (5e-05, 0.00123)}}}
    names: dict = {}
    exec(prices.as_module({("cuda", 2): "NVIDIA H200"}, written), names)
    assert names["MACHINES"] == {("cuda", 2): "NVIDIA H200"}
    assert names["MEASURED"]["cuda", 2]["triton"] == {"products": (1e-15, 0.0), "setup": (5e-05, 0.0012)}
    assert "python -m benchmarks.prices" in names["__doc__"]
    (problem,) = gpu_problems(1)
    assumed = TRITON.cost(problem, True).seconds
    for key, value in names["MEASURED"].items():
        monkeypatch.setitem(measured_prices.MEASURED, key, value)
    assert is_measured(problem)
    assert TRITON.cost(problem, True).seconds == pytest.approx(assumed + 0.0012 - 9e-5)
    assert problem.dtype is torch.bfloat16


def test_the_module_as_it_is_would_be_written_again() -> None:
    assert measured_prices.MEASURED.keys() == measured_prices.MACHINES.keys() != set()
    text = prices.as_module(measured_prices.MACHINES, measured_prices.MEASURED)
    assert text == Path(measured_prices.__file__).read_text(encoding="utf-8")
