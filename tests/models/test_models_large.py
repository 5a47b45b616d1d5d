"""The paper's sizes on this machine: forward, backward, peak memory, finite in bf16, in range for fp16.

Run with `pytest -m slow -s tests/models/test_models_large.py` to see the numbers. Every case has a process of its own,
so that its peak memory is its own.
"""

import json
import subprocess
import sys

import pytest

CASES = [("lambda_resnet50", 224), ("lambda_resnet420", 320)]
FP16_MAX = 65504


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "size"), CASES, ids=[name for name, _ in CASES])
def test_forward_and_backward_at_the_paper_s_size(name, size, precision, capsys):
    code = f"from {__name__} import measure; measure({name!r}, {size}, {precision!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=__file__.rpartition("/")[0], check=True, capture_output=True, text=True
    )
    measured = json.loads(result.stdout)
    with capsys.disabled():
        print(f"\n{name} {size} px batch 1 {precision}: {measured}")
    assert measured["not finite"] == []
    assert measured["without gradient"] == []
    assert measured["largest activation"] < FP16_MAX


def measure(name, size, precision):
    """One training step's forward and backward; prints what it took as JSON."""
    import time

    import torch
    from torch import nn

    from lambdanets.models import create_model
    from lambdanets.models.blocks import Bottleneck

    torch.manual_seed(0)
    model = create_model(name)
    for module in model.modules():
        if isinstance(module, Bottleneck):  # 0 at the start, which would hide every branch
            nn.init.ones_(module.norm_expand.weight)
    largest = {"": torch.zeros(())}

    def record(_module, _inputs, output):
        largest[""] = torch.maximum(largest[""], output.detach().float().abs().amax())

    for module in model.modules():
        if not list(module.children()) or type(module).__name__ in ("LambdaLayer", "Bottleneck"):
            module.register_forward_hook(record)
    images = torch.randn(1, 3, size, size)
    before = peak_mib()
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(images)
    loss = nn.functional.cross_entropy(logits.float(), torch.tensor([1]))
    loss.backward()
    seconds = time.perf_counter() - start
    tensors = {"logits": logits} | {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    report = {
        "peak MiB": peak_mib(),
        "of which before the step": before,
        "seconds": round(seconds, 1),
        "largest activation": round(largest[""].item(), 1),
        "not finite": [key for key, value in tensors.items() if not value.isfinite().all()],
        "without gradient": [
            key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
        ],
    }
    print(json.dumps(report))


def peak_mib():
    """The most memory this process has held, in MiB; getrusage would count its parent's too."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
