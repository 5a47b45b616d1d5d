"""What every test runs under."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads

import shutil
import signal

import pytest
import torch

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, runs that the tests start would not heed it


@pytest.fixture(autouse=True)
def _reproducible():
    """A fixed seed; memory nobody wrote reads as NaN while our code runs."""
    torch.manual_seed(0)
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.fixture
def nan_filled_memory():
    """`torch.empty` returns NaN: an order that reads what it did not write is found out."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def needs_able():
    """Skips a test of an order that is not able for a problem (without one: a small one on the CPU), for its reason."""
    from lambdanets.ops import Problem
    from lambdanets.ops.choice import ORDERS, why_not

    small = Problem(b=1, v=4, query_size=(4, 5), context_size=(4, 5), scope=(3, 3))

    def check(impl, problem=small):
        reasons = {order.NAME: why_not(order, problem) for order in ORDERS}
        if reasons.get(impl):
            pytest.skip(f"{impl}: {reasons[impl]}")

    return check


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """A finished run of one epoch, with its report. To be looked at, not changed: `run` is a copy."""
    from lambdanets.cli import main

    folder = tmp_path_factory.mktemp("runs") / "short"
    assert main(["train", "digits", "--out", str(folder), "--set", "epochs=1"]) == 0
    return folder


@pytest.fixture
def run(trained_run, tmp_path):
    """A finished run that a test may spoil."""
    return shutil.copytree(trained_run, tmp_path / "run")
