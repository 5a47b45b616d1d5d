import sys
from importlib import import_module

import pytest

from lambdanets.cli import diagnosis, main, selfcheck
from lambdanets.ops.choice import ORDERS


def test_a_healthy_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "All is well."
    names = {line.split()[1] for line in lines if line.startswith("ok")}
    assert {"lambdanets", "python", "torch", "timm", "threads", "disk", "gpu"} <= names
    assert {order.NAME for order in ORDERS} <= names


def test_what_is_missing_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_torch(name: str) -> object:
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return import_module(name)

    monkeypatch.setattr(diagnosis, "import_module", without_torch)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "NO  torch" in out
    assert "every order" not in out  # nothing to compute with
    remedies = out.partition("To do:\n")[2].splitlines()
    assert f'- torch: {sys.executable} -m pip install "torch>=' in remedies[0]
    assert remedies[1].startswith("- threads: unset OMP_WAIT_POLICY")


def test_an_order_that_is_wrong_here_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true = selfcheck.output_and_gradients

    def spoilt(inputs, impl):
        results = true(inputs, impl)
        return {name: tensor * (1 + 1e-7 * (impl == "dense")) for name, tensor in results.items()}

    monkeypatch.setattr(selfcheck, "output_and_gradients", spoilt)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "NO  dense" in out
    assert "- dense: computes something else than the reference" in out


def test_the_check_keeps_to_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "SECONDS", -1.0)
    values = {finding.name: finding.value for finding in selfcheck.check_orders()}
    assert values.pop("triton").startswith("not able: the tensors are on cpu")
    assert set(values.values()) == {"not reached within the time"}
