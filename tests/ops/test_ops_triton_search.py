"""The search of launch rows without a GPU: where it goes, what it passes over, when it ends."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("triton")

from triton import TritonError

from lambdanets.ops.impl.triton import search as module
from lambdanets.ops.impl.triton.launches import LAUNCHES, find_launch, launch_columns
from lambdanets.ops.impl.triton.search import (
    LIMITS,
    MOST_SUMS,
    Found,
    Trial,
    neighbours,
    rows_of,
    search,
    search_launches,
    sizes_of,
)
from lambdanets.ops.launch import Launch

NEVER = math.inf
START = Launch(what="output", architecture=90, itemsize=2, columns=64, rows=128, step=32, warps=4, stages=3)
BEST = replace(START, columns=128, rows=256, step=64, warps=8, stages=4)


def away(row):
    """1 at START, less towards BEST."""
    sizes = ("columns", "rows", "step", "warps")

    def distance(one):
        return sum(abs(math.log2(getattr(one, size) / getattr(BEST, size))) for size in sizes) + abs(one.stages - 4)

    return (1 + distance(row)) / (1 + distance(START))


def test_it_finds_what_lies_downhill():
    found = search(START, away, NEVER)
    assert found.row == BEST
    assert found.share == pytest.approx(1 / (1 + 5))
    assert found.tried > 5


def test_it_stays_where_nothing_gains_more_than_noise():
    found = search(START, lambda row: 0.99, NEVER)
    assert (found.row, found.share) == (START, 1.0)


def test_no_row_is_measured_twice_but_the_best():
    asked = []
    search(START, lambda row: asked.append(row) or away(row), NEVER)
    assert len(asked) == len(set(asked)) + 1  # the best one has to win again
    assert START not in asked


def test_what_does_not_win_again_is_not_taken():
    shares = {}

    def once(row):
        shares[row] = 1.0 if row in shares else 0.5
        return shares[row]

    assert search(START, once, NEVER).row == START


def test_rows_that_fail_are_passed_over():
    assert search(START, lambda row: math.inf if row.warps == 8 else away(row), NEVER).row.warps == 4


def test_when_time_is_up_the_best_so_far_is_kept(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: len(asked)))
    found = search(START, lambda row: asked.append(row) or 0.5 ** len(asked), 1.5)
    assert (found.row, found.tried) == (asked[1], 2)
    assert asked[2:] == [asked[1]]


@pytest.mark.parametrize("row", LAUNCHES, ids=str)
def test_neighbours_differ_in_one_size_within_the_limits(row):
    near = neighbours(row)
    assert len(near) >= 4
    for other in near:
        changed = [name for name in LIMITS if getattr(other, name) != getattr(row, name)]
        assert len(changed) == 1
        assert LIMITS[changed[0]][0] <= getattr(other, changed[0]) <= LIMITS[changed[0]][1]
        assert other.rows * (other.step if row.what == "table" else other.columns) <= MOST_SUMS * 32 * other.warps


@pytest.mark.parametrize("architecture", [80, 86, 90, 100, 120])
def test_a_gpu_searches_a_row_of_its_own_for_every_built_in_one(architecture):
    rows, newest = rows_of(architecture), 90 if 90 <= architecture < 120 else 80
    built_in = [row for row in LAUNCHES if row.architecture == newest]
    assert {replace(row, architecture=newest) for row in rows} == set(built_in)
    assert {row.architecture for row in rows} == {architecture}
    assert [row.itemsize for row in rows] == sorted(row.itemsize for row in rows)


@pytest.mark.parametrize("row", [*rows_of(80), *rows_of(90), *rows_of(120)], ids=str)
def test_a_row_is_measured_on_large_calls_that_it_is_for(row):
    sizes = sizes_of(row)
    assert len(sizes) == 2 or (row.what in ("output", "query") and row.least_columns < 128)
    for b, v, _, _ in sizes:
        columns = launch_columns(row.what, b, v)
        assert find_launch(row.what, row.architecture, row.itemsize, columns, rows_of(row.architecture)) == row


class Answers:
    """Stands in for the kernels: what a row computes, and how long it takes."""

    def __init__(self, monkeypatch):
        self.seconds, self.results = {}, {}
        monkeypatch.setattr(module, "run_output", self.compute)
        monkeypatch.setattr(module, "finish", self.finish)
        self.now, self.finished = START, 0

    def compute(self, maps):
        self.now = replace(maps.launches[0], least_columns=0)
        result = self.results.get(self.now, torch.ones(3))
        if isinstance(result, Exception):
            raise result
        return result

    def timed(self, call):
        call()
        return self.seconds.get(self.now, 1.0)

    def finish(self, device):
        self.finished += 1

    def trial(self):
        return Trial(START, (1, 16, 4, 3), "cpu", self.timed)


def test_a_share_is_of_the_built_in_rows_time(monkeypatch):
    answers, other = Answers(monkeypatch), replace(START, warps=8)
    answers.seconds = {START: 2.0, other: 0.5}
    assert answers.trial().share(other) == 0.25


@pytest.mark.parametrize(
    "result",
    [torch.ones(3) + 0.1, torch.full((3,), torch.nan), TritonError("shared memory"), RuntimeError("PassManager")],
    ids=["other numbers", "NaN", "too large", "does not compile"],
)
def test_a_row_that_fails_or_computes_something_else_is_never_taken(result, monkeypatch):
    answers, other = Answers(monkeypatch), replace(START, warps=8)
    answers.seconds, answers.results = {other: 1e-3}, {other: result}
    assert answers.trial().share(other) == math.inf
    assert answers.finished == isinstance(result, Exception)


def test_a_lost_gpu_ends_the_search(monkeypatch):
    answers, other = Answers(monkeypatch), replace(START, warps=8)
    answers.results = {other: RuntimeError("an illegal memory access")}

    def lost(device):
        raise RuntimeError("the GPU is lost")

    trial = answers.trial()
    monkeypatch.setattr(module, "finish", lost)
    with pytest.raises(RuntimeError, match="the GPU is lost"):
        trial.share(other)


def test_without_minutes_the_built_in_rows_stand():
    found = list(search_launches(rows_of(90), "cpu", -1, lambda call: pytest.fail("measured")))
    assert tuple(one.row for one in found) == rows_of(90)


def test_minutes_are_shared_out_and_a_built_in_row_that_fails_is_warned_of(monkeypatch):
    now, ends = [0.0], []

    def found(row, share, end):
        ends.append(end - now[0])
        now[0] = end if len(ends) % 2 else now[0]  # every other one is done at once
        return Found(row)

    def trial(row, *_):
        if row.what == "table":
            raise RuntimeError("out of memory")

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "search", found)
    monkeypatch.setattr(module, "Trial", trial)
    with pytest.warns(RuntimeWarning, match="is not searched: out of memory"):
        rows = [one.row for one in search_launches(rows_of(90), "cpu", 10, lambda call: 1.0)]
    assert tuple(rows) == rows_of(90)
    assert len(ends) == sum(bool(sizes_of(row)) and row.what != "table" for row in rows)
    assert ends == sorted(ends)
    assert now[0] <= 600


@pytest.mark.slow
def test_every_pass_runs_by_its_rows_and_their_neighbours():
    """By Triton's interpreter: equal results whatever the sizes, so that a share is a number."""
    code = (
        "import math\n"
        "from lambdanets.ops.impl.triton.search import Trial, neighbours, rows_of\n"
        "rows = {row.what: row for row in rows_of(80) if row.itemsize == 4 and row.least_columns == 0}\n"
        "for what, row in rows.items():\n"
        "    trial = Trial(row, (1, 16, 4, 3), 'cpu', lambda call: 1.0)\n"
        "    near = [one for one in neighbours(row) if one.stages == row.stages and one.warps == row.warps]\n"
        "    print(what, *[trial.share(one) for one in near])\n"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert {line[0] for line in lines} == {"output", "query", "value", "table"}
    assert all(len(line) > 3 for line in lines)
    assert all(share == "1.0" for line in lines for share in line[1:])
