"""A profile corrects predictions, is stored and read, and changes the choice and nothing else."""

import dataclasses
import json
import random

import pytest
import torch

from lambdanets.ops import Problem, apply_lambdas, cost, explain
from lambdanets.ops.choice import ORDERS, choose, orders_of
from lambdanets.ops.cost import is_measured
from lambdanets.ops.explanation import explain_problem
from lambdanets.ops.impl.triton.launches import LAUNCHES
from lambdanets.ops.launch import Launch
from lambdanets.ops.measured_prices import MEASURED
from lambdanets.ops.profile import BUILT_IN, Profile, load_profile
from lambdanets.ops.tuning import (
    LIKENESS_OF_GUESSES,
    SLOWER,
    calibrate,
    calibration_problems,
    fit_factors,
    measure_orders,
    on_gpu,
    worth_measuring,
)

ROW = Launch(what="output", architecture=90, itemsize=2, columns=64, rows=64, step=16, warps=8, stages=5)


def problem(size=(8, 8), scope=(5, 5)):
    return Problem(b=1, k=4, v=8, query_size=size, context_size=size, scope=scope, content=False)


def test_a_fit_recovers_the_factor_of_every_kind():
    work = ((1e-4, 1e-3), (1e-2, 1e-3), (1e-3, 1e-2), (1e-6, 0))
    parts = [{"products": products, "moved": moved, "setup": 1e-4} for products, moved in work]
    points = [(mine, 2 * mine["products"] + 3 * mine["moved"] + 1.5 * mine["setup"]) for mine in parts]
    factors = fit_factors(20 * points)
    assert factors == pytest.approx({"products": 2, "moved": 3, "setup": 1.5}, rel=0.03)


def test_a_kind_of_which_there_is_little_goes_with_the_rest():
    points = [({"products": p, "moved": 1e-9 * p, "never": 0.0}, 2.5 * p) for p in (1e-4, 1e-3, 1e-2)]
    assert fit_factors(points) == pytest.approx({"products": 2.5, "moved": 2.5, "never": 2.5})


def test_problems_may_differ_in_their_kinds_of_work():
    points = [({"products": 1e-3}, 2e-3), ({"products": 1e-3, "blocks": 1e-3}, 4e-3)]
    assert fit_factors(20 * points) == pytest.approx({"products": 2, "blocks": 2}, rel=0.03)


def test_guessed_prices_may_be_wrong_by_different_powers_of_ten():
    """As those of a CPU are of a GPU: products 1/1000, steps 1/5, forty problems."""
    draw = random.Random(0)
    parts = [{"products": 10 ** -draw.uniform(1, 5), "steps": 10 ** -draw.uniform(3, 5)} for _ in range(40)]
    points = [(mine, mine["products"] / 1000 + mine["steps"] / 5) for mine in parts]
    factors = fit_factors(points, LIKENESS_OF_GUESSES)
    off = [sum(factors[kind] * mine[kind] for kind in mine) / took for mine, took in points]
    assert 0.8 < min(off) <= max(off) < 1.25
    assert min(sum(fit_factors(points)[kind] * mine[kind] for kind in mine) / took for mine, took in points) < 0.5


def test_no_factor_is_negative():
    points = [({"products": p, "setup": 1e-3}, p) for p in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert min(fit_factors(20 * points).values()) >= 0


def test_calibration_measures_every_order_it_runs(tmp_path):
    *_, profile = calibrate(Profile("here"), [problem(), problem((9, 12), (17, 23))], seconds=0.001)
    assert profile.machine == "here"
    assert set(profile.factors) <= {order.NAME for order in ORDERS}
    assert len(profile.factors) >= 3
    for order in ORDERS:
        if order.NAME in profile.factors:
            kinds = profile.factors[order.NAME]
            assert set(kinds) >= set(order.cost(problem(), False).parts)
            assert all(min(pair) >= 0 for pair in kinds.values())
    profile.save(tmp_path / "profile.json")
    assert load_profile(str(tmp_path / "profile.json")) == profile


def test_a_profile_that_is_right_predicts_the_measured_time():
    p, profile = problem(), Profile("here", {"dense": {"setup": (3.0, 5.0)}})
    dense = next(order for order in ORDERS if order.NAME == "dense")
    for backward, factor in ((False, 3.0), (True, 5.0)):
        known = dense.cost(p, backward)
        more = (factor - 1) * known.parts["setup"]
        assert profile.seconds("dense", known, backward) == pytest.approx(known.seconds + more)
        assert BUILT_IN.seconds("dense", known, backward) == known.seconds


def slowed(problem, *names):
    """A profile in which all that these orders do takes very long."""
    orders = [order for order in ORDERS if order.NAME in names]
    factors = {order.NAME: dict.fromkeys(order.cost(problem, False).parts, (1e9, 1e9)) for order in orders}
    return Profile("slow", factors, problem.device)


def test_a_profile_changes_the_choice_and_not_the_result(tmp_path):
    p = problem()
    usual = choose(p).NAME
    slow = slowed(p, usual)
    assert usual != choose(p, profile=slow).NAME
    path = tmp_path / "slow.json"
    slow.save(path)
    assert explain(p, impl=f"auto:{path}").chosen == choose(p, profile=slow).NAME
    query, value, table = torch.randn(1, 4, 4, 8, 8), torch.randn(1, 8, 1, 8, 8), torch.randn(4, 1, 5, 5)
    torch.testing.assert_close(
        apply_lambdas(query, None, value, table, impl=f"auto:{path}"), apply_lambdas(query, None, value, table)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"machine": "x"}',
        json.dumps({"machine": "", "factors": 3, "device": "cpu", "launches": []}),
        json.dumps({"machine": "", "factors": {"dense": {"setup": 1}}, "device": "cpu", "launches": []}),
        json.dumps({"machine": "", "factors": {"dense": {"setup": [1, -1]}}, "device": "cpu", "launches": []}),
        json.dumps(
            {"machine": "", "factors": {"dense": {"setup": [1, float("nan")]}}, "device": "cpu", "launches": []}
        ),
        json.dumps({"machine": "", "factors": {}, "device": "cuda", "launches": [{**vars(ROW), "columns": 48}]}),
        json.dumps({"machine": "", "factors": {}, "device": "cuda", "launches": [{**vars(ROW), "what": "all"}]}),
        json.dumps({"machine": "", "factors": {}, "device": "cuda", "launches": [{**vars(ROW), "size": 1}]}),
    ],
)
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
    slow = slowed(there, usual, at_gpu)
    assert usual == choose(here, profile=slow).NAME
    assert at_gpu != choose(there, profile=slow).NAME
    slow.save(tmp_path / "gpu.json")
    assert load_profile(str(tmp_path / "gpu.json")).device == "cuda"
    impl = f"auto:{tmp_path / 'gpu.json'}"
    assert explain_problem(here, impl).profile is BUILT_IN
    assert "predicted for one GPU, profile: slow" in str(explain_problem(there, impl))


def test_launches_of_a_profile_are_kept_and_gone_by(tmp_path):
    there = dataclasses.replace(on_gpu(problem((32, 32), (23, 23))), k=16)
    usual = next(order for order in ORDERS if order.NAME == "triton")
    smaller = tuple(dataclasses.replace(row, rows=row.rows // 2) for row in LAUNCHES if row.architecture == 90)
    profile = Profile("a GPU", device="cuda", launches=smaller)
    profile.save(tmp_path / "gpu.json")
    assert load_profile(str(tmp_path / "gpu.json")) == profile
    launched = next(order for order in orders_of(profile) if order.NAME == "triton")
    assert launched.cost(there, False).multiply_adds != usual.cost(there, False).multiply_adds
    assert orders_of(BUILT_IN) is ORDERS
    assert [order.NAME for order in orders_of(profile)] == [order.NAME for order in ORDERS]
    here = choose(problem(), profile=profile)
    assert here is choose(problem())


def test_calibration_keeps_the_launches():
    start = Profile("a GPU", launches=(ROW,))
    *_, profile = calibrate(start, [problem()], seconds=0.001)
    assert profile.launches == (ROW,)


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


def test_a_calibration_on_a_gpu_says_nothing_of_the_cpu(monkeypatch):
    there = on_gpu(problem())
    took = measure_orders(problem(), seconds=0.001)
    monkeypatch.setattr("lambdanets.ops.tuning.measure_orders", lambda *_: took)
    *_, profile = calibrate(Profile("there", device="cuda"), [there, there])
    assert profile.device == "cuda"
    assert choose(problem(), profile=profile) is choose(problem())


def test_a_call_by_a_profile_compiles_to_one_graph_and_chooses_when_it_runs(tmp_path, monkeypatch):
    p, path = problem(), tmp_path / "profile.json"
    usual = choose(p)
    slowed(p, usual.NAME).save(path)
    ran = []
    for order in ORDERS:
        forward = order.forward
        monkeypatch.setattr(order, "forward", lambda *q, o=order, f=forward: ran.append(o.NAME) or f(*q))
    tensors = torch.randn(1, 4, 4, 8, 8), None, torch.randn(1, 8, 1, 8, 8), torch.randn(4, 1, 5, 5)
    compiled = torch.compile(apply_lambdas, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*tensors, impl=f"auto:{path}"), apply_lambdas(*tensors, impl="reference"))
    assert len(ran) == 1
    assert ran[0] == choose(p, profile=load_profile(str(path))).NAME != usual.NAME
