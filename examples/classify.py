"""Classify image files with a network that `lambdanets train digits` left in a folder.

    python examples/classify.py RUN IMAGE...

A picture holds one digit, drawn or photographed, dark on light or light on dark: `lambdanets predict` in a few lines.
"""

import sys

import torch

from lambdanets import load_run


@torch.no_grad()
def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/classify.py RUN IMAGE...")
    run = load_run(sys.argv[1])
    for path in sys.argv[2:]:
        inputs = run.inputs([run.read(path)])  # cut out, scaled and normalised as in training
        best = run.model(inputs).softmax(1)[0].topk(3)
        print(path, *(f"{digit}: {p:.1%}" for p, digit in zip(*map(torch.Tensor.tolist, best), strict=True)), sep="  ")


if __name__ == "__main__":
    main()
