"""Where a process works: the same for tasks of every kind."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lambdanets.layers.synced_norm import SyncedBatchNorm
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.distributed import ALONE, Ranks
from lambdanets.training.override import with_assignments
from lambdanets.training.workplace import Workplace, judged_of, network_options

TWO = Ranks(rank=1, count=2, local_rank=1)


def workplace(ranks: Ranks, *assignments: str) -> Workplace:
    return Workplace(config=with_assignments(find_recipe("digits"), list(assignments)), ranks=ranks)


@pytest.mark.parametrize(
    ("ranks", "sync_norm", "is_synced"), [(ALONE, True, False), (TWO, True, True), (TWO, False, False)], ids=str
)
def test_norms_count_what_all_processes_have_if_there_are_several(
    ranks: Ranks, sync_norm: bool, is_synced: bool
) -> None:
    here = workplace(ranks, f"sync_norm={str(sync_norm).lower()}", "precision.dtype=float64")
    model = here.ready(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    assert isinstance(model[1], SyncedBatchNorm) == is_synced
    assert model[0].weight.dtype == here.dtype == torch.float64


def test_each_process_has_a_gpu_and_a_share_of_its_own() -> None:
    here = workplace(TWO, "device=cuda", "batch_size=32")
    assert here.device == "cuda:1"
    assert (here.shares.ranks, here.shares.batch_size, here.shares.pin) == (TWO, 32, True)
    assert not workplace(TWO, "device=cpu").shares.pin


def test_judged_is_what_was_held_out_or_else_the_test() -> None:
    assert judged_of(SimpleNamespace(validation="held out", test="test")) == ("held out", "validation")
    assert judged_of(SimpleNamespace(validation=None, test="test")) == ("test", "test")


def test_what_the_data_decides_is_no_option() -> None:
    assert network_options(workplace(ALONE, "model_options.dim_key=8").config) == {"dim_key": 8}
    for name in ("num_classes", "in_chans"):
        with pytest.raises(ValueError, match=f"model_options.{name} cannot be set: the data decides it"):
            network_options(workplace(ALONE, f"model_options.{name}=1").config)
