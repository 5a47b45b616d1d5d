from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from lambdanets.layers import LambdaLayer
from lambdanets.layers.masked_norm import masked_batch_norm
from lambdanets.layers.synced_norm import SyncedBatchNorm, sync_norms

SHARES = (3, 2)
"""Samples of each process: not the same number."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, bias=False), nn.BatchNorm2d(8), LambdaLayer(8, dim_key=4, num_heads=2, scope=3)
    ).double()


def samples() -> Tensor:
    return torch.randn(sum(SHARES), 2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def trained_once(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, gradients and buffers after one pass; the loss is a sum, so that shares add up."""
    x = x.clone().requires_grad_()
    out = model(x)
    (out * torch.linspace(0, 1, out[0].numel(), dtype=x.dtype).view(out[0].shape)).square().sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad, *(p.grad for p in model.parameters()), *model.buffers()]  # type: ignore[list-item]


def one_of_two(rank: int, results: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{results}/meeting", rank=rank, world_size=2)
    torch.set_num_threads(1)
    mine = samples().split(SHARES)[rank]
    torch.save(trained_once(sync_norms(network()), mine), f"{results}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_normalise_as_one_does(tmp_path: Path) -> None:
    mp.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    model = network()
    out, d_x, *rest = trained_once(model, samples())
    torch.testing.assert_close(torch.cat([first[0], second[0]]), out, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), d_x, rtol=1e-10, atol=1e-12)
    num_parameters = len(list(model.parameters()))
    for mine, other, whole in zip(first[2:], second[2:], rest, strict=True):
        if num_parameters > 0:
            torch.testing.assert_close(mine + other, whole, rtol=1e-10, atol=1e-11)
            num_parameters -= 1
        else:
            torch.testing.assert_close(mine, whole, rtol=1e-10, atol=1e-12)
            assert torch.equal(mine, other)


@pytest.mark.parametrize("training", [True, False])
def test_a_process_alone_gets_what_batchnorm_gives(training: bool) -> None:
    plain, synced = network().train(training), sync_norms(network()).train(training)
    assert sum(isinstance(module, SyncedBatchNorm) for module in synced.modules()) == 3
    assert {name: tuple(t.shape) for name, t in plain.state_dict().items()} == {
        name: tuple(t.shape) for name, t in synced.state_dict().items()
    }
    for one, other in zip(trained_once(plain, samples()), trained_once(synced, samples()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_parameters_stay_the_objects_an_optimizer_holds() -> None:
    model = network()
    before = list(model.parameters())
    assert all(one is other for one, other in zip(before, sync_norms(model).parameters(), strict=True))


def test_a_mask_hides_positions_from_a_synced_norm_as_well() -> None:
    norm, x = nn.BatchNorm2d(2).double(), samples()
    mask = torch.rand(len(x), 6, 5, generator=torch.Generator().manual_seed(2)) > 0.3
    expected = masked_batch_norm(nn.BatchNorm2d(2).double(), x, mask)
    (synced,) = sync_norms(nn.Sequential(norm))
    torch.testing.assert_close(masked_batch_norm(synced, x, mask), expected, rtol=1e-12, atol=1e-12)


def test_a_batch_of_nothing_leaves_the_running_statistics_and_has_a_gradient() -> None:
    norm = SyncedBatchNorm(3)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(5.0)
    norm(torch.zeros(0, 3, 4, 4, requires_grad=True)).sum().backward()
    assert norm.running_mean.tolist() == [2.0] * 3
    assert norm.running_var.tolist() == [5.0] * 3
    assert norm.weight.grad is not None
    assert norm.weight.grad.tolist() == [0.0] * 3
