"""What a training step of a large detector takes: 12 GiB at most at 1024 × 1024, nothing quadratic in pixels."""

import subprocess
import sys

import pytest

STEP = """
import sys, torch
from lambdanets.detection import create_detector
side, scope = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.manual_seed(0)
options = {"scope": (side // 8 - 1,) * 2} if scope == "global" else {}  # 2 · size − 1 on c4
model = create_detector("lambda_resnet101", min_size=side, max_size=side, backbone_options=options)
boxes = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.3, 0.2, 0.9, 0.4], [0.7, 0.7, 0.72, 0.73]]) * side
target = {"boxes": boxes, "labels": torch.tensor([1, 2, 3]), "masks": torch.ones(3, side, side, dtype=torch.uint8)}
status = lambda field: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))
before = status("VmRSS")
loss = sum(model([torch.rand(3, side, side)], [target]).values())
loss.backward()
assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
print(before / 2**20, status("VmHWM") / 2**20)
"""


def gibibytes(side, scope):
    """(before a step, at its peak): what a fresh process holds."""
    command = [sys.executable, "-c", STEP, str(side), scope]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, peak = map(float, done.stdout.split()[-2:])
    return before, peak


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("scope", ["default", "global"])
def test_a_step_at_1024_pixels_fits_and_grows_with_the_pixels(scope):
    (before, half), (_, peak) = gibibytes(512, scope), gibibytes(1024, scope)
    assert peak <= 12
    assert peak - before <= 4.5 * (half - before)
