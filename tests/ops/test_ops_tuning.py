"""A profile corrects predictions, is stored and read, and changes the choice and nothing else."""

import dataclasses
import json

import pytest
import torch

from lambdanets.ops import Problem, apply_lambdas, cost, explain
from lambdanets.ops.choice import ORDERS, choose
from lambdanets.ops.cost import BUILT_IN, Pace, Profile, is_measured, load_profile
from lambdanets.ops.explanation import explain_problem
from lambdanets.ops.measured_prices import MEASURED
from lambdanets.ops.tuning import (
    SLOWER,
    calibrate,
    calibration_problems,
    fit_pace,
    measure_orders,
    on_gpu,
    worth_measuring,
)


def problem(size=(8, 8), scope=(5, 5)):
    return Problem(b=1, k=4, v=8, query_size=size, context_size=size, scope=scope, content=False)


def test_a_fit_recovers_factor_and_overhead():
    pairs = [(p, 2.5 * p + 1e-4) for p in (1e-4, 1e-3, 1e-2)]
    pace = fit_pace(pairs)
    assert pace.factor == pytest.approx(2.5)
    assert pace.overhead == pytest.approx(1e-4)
    assert fit_pace([(1.0, 3.0)]) == Pace(3.0)


def test_calibration_measures_every_order_it_runs(tmp_path):
    *_, profile = calibrate("here", [problem(), problem((9, 12), (17, 23))], seconds=0.001)
    assert set(profile.forward) == set(profile.backward) <= {order.NAME for order in ORDERS}
    assert len(profile.forward) >= 3
    assert all(pace.factor > 0 and pace.overhead >= 0 for pace in profile.forward.values())
    profile.save(tmp_path / "profile.json")
    assert load_profile(str(tmp_path / "profile.json")) == profile


def test_a_profile_changes_the_choice_and_not_the_result(tmp_path):
    p = problem()
    usual = choose(p).NAME
    slow = Profile("slow", {usual: Pace(1e6)}, {usual: Pace(1e6)})
    assert usual != choose(p, profile=slow).NAME
    path = tmp_path / "slow.json"
    slow.save(path)
    assert explain(p, impl=f"auto:{path}").chosen == choose(p, profile=slow).NAME
    query, value, table = torch.randn(1, 4, 4, 8, 8), torch.randn(1, 8, 1, 8, 8), torch.randn(4, 1, 5, 5)
    torch.testing.assert_close(
        apply_lambdas(query, None, value, table, impl=f"auto:{path}"), apply_lambdas(query, None, value, table)
    )


@pytest.mark.parametrize("text", ["", "[]", '{"machine": "x"}', json.dumps({"machine": "", "forward": 3})])
def test_what_is_no_profile_is_refused(tmp_path, text):
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="lambdanets tune"):
        explain(problem(), impl=f"auto:{path}")


def test_measurements_stand_beside_the_predictions():
    from lambdanets.ops.explanation import explain_problem

    measured = measure_orders(problem(), seconds=0.001)
    assert all(times.forward > 0 and times.backward > 0 for times in measured.values())
    assert "measured ms" in str(explain_problem(problem(), measured=measured))


def test_measured_memory_is_near_the_predicted():
    """Half as much again, for the small buffers that no formula counts."""
    p = problem(size=(24, 24), scope=(13, 13))
    for order in (o for o in ORDERS if o.NAME in ("scores", "dense", "fourier_rows")):
        measured = measure_orders(p, seconds=0.001, memory=True)[order.NAME].extra_bytes
        predicted = max(order.cost(p, backward).extra_bytes for backward in (False, True))
        assert measured / 1.5 <= predicted <= 2.5 * measured, order.NAME


def test_memory_counts_what_lives_at_once():
    from lambdanets.ops.memory import extra_bytes

    def call():
        for _ in range(3):
            torch.empty(1000).add_(1)  # gone before the next one
        kept = torch.empty(500)
        return (kept + 1).view(5, 100)

    assert extra_bytes(call) == 4 * (1000 - 500)  # at the peak, less what is returned at the end
    assert extra_bytes(lambda: torch.empty(500)) == 0


def test_only_auto_can_be_explained():
    from lambdanets.ops.explanation import explain_problem

    with pytest.raises(ValueError, match="only 'auto'"):
        explain_problem(problem(), impl="dense")


def test_a_profile_speaks_of_its_own_kind_of_device(tmp_path):
    here, there = problem(), on_gpu(problem())
    usual, at_gpu = choose(here).NAME, choose(there).NAME
    slow = Profile("a GPU", {usual: Pace(1e9), at_gpu: Pace(1e9)}, device="cuda")
    assert usual == choose(here, profile=slow).NAME
    assert at_gpu != choose(there, profile=slow).NAME
    slow.save(tmp_path / "gpu.json")
    assert load_profile(str(tmp_path / "gpu.json")).device == "cuda"
    impl = f"auto:{tmp_path / 'gpu.json'}"
    assert explain_problem(here, impl).profile is BUILT_IN
    assert "predicted for one GPU, profile: a GPU" in str(explain_problem(there, impl))


def test_a_profile_without_a_device_is_of_a_cpu(tmp_path):
    (tmp_path / "old.json").write_text('{"machine": "old", "forward": {}, "backward": {}}')
    assert load_profile(str(tmp_path / "old.json")).device == "cpu"


def test_prices_measured_on_a_gpu_change_its_predictions_alone(monkeypatch):
    order = next(order for order in ORDERS if order.NAME == "dense")
    here, there = problem(), on_gpu(problem())
    monkeypatch.delitem(MEASURED, ("cuda", 2), raising=False)
    before = [order.cost(p, True).seconds for p in (here, there)]
    explained = str(explain_problem(there))
    assert not is_measured(there)
    assert "no times of a GPU are known" in explained
    monkeypatch.setitem(MEASURED, ("cuda", 2), {"dense": {"setup": (1.0, 2.0)}})
    after = [order.cost(p, True).seconds for p in (here, there)]
    assert after[0] == before[0]
    assert 2 < after[1] < 2 + before[1]
    assert is_measured(there)
    assert not is_measured(dataclasses.replace(there, dtype=torch.float32))
    assert "no times of a GPU" not in str(explain_problem(there))


def test_a_cpu_without_avx_512_has_prices_of_its_own(monkeypatch):
    seconds = {}
    for kind in ("cpu", "cpu without AVX-512"):
        monkeypatch.setattr(cost, "_cpu", lambda kind=kind: kind)
        seconds[kind] = [order.cost(problem(), True).seconds for order in ORDERS if order.NAME != "triton"]
        assert is_measured(problem())
    assert all(wide != narrow for wide, narrow in zip(*seconds.values(), strict=True))


def test_calibration_on_a_gpu_is_of_larger_batches_in_bf16():
    for here, there in zip(calibration_problems(), calibration_problems("cuda"), strict=True):
        assert (there.b, there.device, there.dtype) == (16 * here.b, "cuda", torch.bfloat16)
        assert (there.query_size, there.scope) == (here.query_size, here.scope)


def test_where_no_times_were_measured_none_is_hopeless(monkeypatch):
    monkeypatch.delitem(MEASURED, ("cuda", 2), raising=False)
    there = on_gpu(problem((24, 24), (5, 5)))
    costs = {o.NAME: sum(o.cost(there, side).seconds for side in (False, True)) for o in worth_measuring(there)}
    assert max(costs.values()) > SLOWER * min(costs.values())


def test_an_order_that_fails_on_a_gpu_is_left_out_with_a_warning(monkeypatch):
    """The device is fake: what would run on it runs here."""

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nand more")

    there = dataclasses.replace(problem(), device="cuda")
    orders = {order.NAME: order for order in ORDERS}
    monkeypatch.setattr("lambdanets.ops.tuning.worth_measuring", lambda _: [orders["dense"], orders["rows"]])
    monkeypatch.setattr("lambdanets.ops.tuning.finish", lambda _: None)
    monkeypatch.setattr("lambdanets.ops.tuning.stopwatch", lambda _: lambda call: [call(), 1e-3][1])
    tensors = measure_orders.__globals__["_tensors"](problem())
    monkeypatch.setattr("lambdanets.ops.tuning._tensors", lambda _: tensors)
    monkeypatch.setattr(orders["rows"], "backward", fail)
    with pytest.warns(RuntimeWarning, match=r"rows of .* is not measured: CUDA out of memory\.$"):
        measured = measure_orders(there, seconds=0.001)
    assert list(measured) == ["dense"]
    assert measured["dense"].forward == 1e-3


def test_the_profile_of_a_calibration_names_the_device_of_its_problems(monkeypatch):
    there = on_gpu(problem())
    took = measure_orders(problem(), seconds=0.001)
    monkeypatch.setattr("lambdanets.ops.tuning.measure_orders", lambda *_: took)
    *_, profile = calibrate("there", [there, there])
    assert profile.device == "cuda"
