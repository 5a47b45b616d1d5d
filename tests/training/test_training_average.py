import torch
from torch import nn

from lambdanets.training.average import AverageConfig, ModelAverage


def test_the_average_follows_its_formula_with_warm_up() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = ModelAverage(model, AverageConfig(decay=0.5))
    expected = model.weight.item()
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(1.0)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.item()
        # twenty blends of numbers below 32, each rounded to fp32 at most twice
        assert abs(average.model.weight.item() - expected) < 20 * 2 * 32 * 2**-24  # type: ignore[operator]


def test_norm_statistics_are_averaged_and_counts_copied() -> None:
    model = nn.BatchNorm1d(2)
    average = ModelAverage(model, AverageConfig(decay=0.9))
    for step in range(3):
        model(torch.randn(8, 2) + 5)
        average.update(step)
    assert average.model.num_batches_tracked == 3
    assert not torch.equal(average.model.running_mean, model.running_mean)  # type: ignore[arg-type]
    assert bool((average.model.running_mean > 0).all())  # type: ignore[operator]


def test_without_a_decay_the_model_itself_is_judged() -> None:
    model = nn.Linear(2, 2)
    average = ModelAverage(model, AverageConfig(decay=None))
    average.update(0)
    assert average.model is model
    assert model.weight.requires_grad


def test_the_average_takes_no_gradient() -> None:
    average = ModelAverage(nn.Linear(2, 2), AverageConfig())
    assert not any(parameter.requires_grad for parameter in average.model.parameters())


def test_the_distance_is_that_of_all_weights_to_the_trained_ones() -> None:
    model = nn.Linear(3, 2)
    average = ModelAverage(model, AverageConfig())
    assert average.distance() == 0
    apart = [0.1 * torch.randn_like(parameter) for parameter in model.parameters()]
    with torch.no_grad():
        for parameter, change in zip(model.parameters(), apart, strict=True):
            parameter.add_(change)
    whole = torch.cat([parameter.flatten() for parameter in model.parameters()]).norm().detach()
    expected = torch.cat([change.flatten() for change in apart]).norm() / whole
    torch.testing.assert_close(average.distance(), float(expected), rtol=1e-5, atol=0)
    assert ModelAverage(model, AverageConfig(decay=None)).distance() == 0
