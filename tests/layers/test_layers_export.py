"""The layer outlives what is done to modules: compiling, exporting, copying, pickling, moving."""

import copy
import io
import pickle

import torch
from torch._dynamo.testing import CompileCounterWithBackend


def test_one_compiled_graph_from_8_to_64(layer):
    one = layer(12)  # not 8: torch.compile takes two equal sizes of its first input for one
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(one, fullgraph=True, dynamic=True, backend=counter)
    for side in (8, 9, 16, 32, 64):
        x = torch.randn(2, 12, side, side + 1, requires_grad=True)
        torch.testing.assert_close(compiled(x), one(x))
        compiled(x).sum().backward()
        if side == 8:
            graphs = counter.frame_count
    assert counter.frame_count == graphs


def test_exports_with_dynamic_sizes(layer):
    one = layer(stride=2).eval()
    dims = {
        0: torch.export.Dim("b"),
        2: torch.export.Dim("h", min=4, max=512),
        3: torch.export.Dim("w", min=4, max=512),
    }
    program = torch.export.export(one, (torch.randn(2, 8, 16, 16),), dynamic_shapes=(dims,))
    saved = io.BytesIO()
    torch.export.save(program, saved)
    saved.seek(0)
    loaded = torch.export.load(saved).module()
    x = torch.randn(3, 8, 20, 11)
    torch.testing.assert_close(loaded(x), one(x))


def test_survives_copies_pickle_and_devices(layer):
    one = layer().eval()
    x = torch.randn(1, 8, 4, 4)
    for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        torch.testing.assert_close(again(x), one(x))
    moved = copy.deepcopy(one).to("meta")
    assert {t.device.type for t in (*moved.parameters(), *moved.buffers())} == {"meta"}
    assert moved(x.to("meta")).shape == one(x).shape
