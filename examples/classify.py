"""Classify image files with a network that `lambdanets train digits` left in a folder.

    python examples/classify.py RUN IMAGE...

A picture holds one digit, bright on dark, that fills most of it.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor, resize

from lambdanets import create_model
from lambdanets.data.digits import DigitsConfig
from lambdanets.models import load_weights
from lambdanets.preprocess import Preprocess


def load_network(run: Path) -> tuple[torch.nn.Module, Preprocess]:
    """The trained network and what its images go through."""
    config = json.loads((run / "config.json").read_text())
    model = create_model(config["model"], num_classes=10, in_chans=1, **config["model_options"])
    load_weights(model, run / "weights.safetensors")
    return model.eval(), DigitsConfig(image_size=config["data"]["image_size"]).preprocess


def load_image(path: str, preprocess: Preprocess) -> torch.Tensor:
    """The picture as network input, (1, 1, y, x)."""
    grey = pil_to_tensor(Image.open(path).convert("L"))[None] / 255
    return preprocess.normalize(resize(grey, list(preprocess.size)))


@torch.no_grad()
def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/classify.py RUN IMAGE...")
    model, preprocess = load_network(Path(sys.argv[1]))
    for path in sys.argv[2:]:
        probabilities = model(load_image(path, preprocess)).softmax(1)[0]
        best = probabilities.topk(3)
        print(path, *(f"{digit}: {p:.1%}" for p, digit in zip(*map(torch.Tensor.tolist, best), strict=True)), sep="  ")


if __name__ == "__main__":
    main()
