"""What every test runs under."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads

import pytest
import torch


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
