import pytest
import torch
from torch import nn

from lambdanets.models import create_model
from lambdanets.training.optimizer import OptimizerConfig, build_optimizer, clip_gradients, set_learning_rate


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_do_not_decay(name: str) -> None:
    model = create_model("lambda_tiny", num_classes=10, in_chans=1)
    optimizer = build_optimizer(model, OptimizerConfig(name=name, weight_decay=0.1))  # type: ignore[arg-type]
    decayed, free = optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    norms = {id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    assert norms <= {id(p) for p in free["params"]}
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_a_frozen_parameter_is_left_out() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    groups = build_optimizer(model, OptimizerConfig()).param_groups
    assert [len(group["params"]) for group in groups] == [1, 0]


def test_every_group_gets_the_learning_rate() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), OptimizerConfig())
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


@pytest.mark.parametrize(("limit", "expected"), [(None, 5.0), (1.0, 1.0), (10.0, 5.0)])
def test_gradients_are_clipped_to_the_limit_and_the_true_norm_is_told(limit: float | None, expected: float) -> None:
    model = nn.Linear(1, 2, bias=False)
    model.weight.grad = torch.tensor([[3.0], [4.0]])
    assert clip_gradients(model, OptimizerConfig(clip_norm=limit)) == pytest.approx(5.0)
    # clipping divides by norm + 1e-6
    assert float(model.weight.grad.norm()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("momentum", 1.0),
        ("clip_norm", 0.0),
    ],
)
def test_numbers_no_optimizer_can_use_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"optimizer.{field}: got"):
        OptimizerConfig(**{field: value})  # type: ignore[arg-type]
