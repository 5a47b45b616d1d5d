"""Lambda layers in place of the 3 × 3 convolutions of a network you already have.

    python examples/replace_a_convolution.py

The paper's advice: replace the last two stages, where maps are small, and leave the first two alone.
"""

import torch
from torch import nn
from torchvision.models import resnet18

from lambdanets import LambdaLayer


def replace_convolutions(module: nn.Module, scope: int) -> int:
    """Replace every 3 × 3 convolution inside `module`; returns how many there were."""
    count = 0
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3) and child.groups == 1:
            # The same width, and the same stride: the layer pools after itself.
            layer = LambdaLayer(child.in_channels, child.out_channels, scope=scope, stride=child.stride[0])
            setattr(module, name, layer)
            count += 1
        else:
            count += replace_convolutions(child, scope)
    return count


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    model = resnet18(num_classes=10)
    before = num_parameters(model)
    count = replace_convolutions(model.layer3, scope=15) + replace_convolutions(model.layer4, scope=7)
    print(f"{count} convolutions replaced: {before:,} parameters before, {num_parameters(model):,} after")

    images, labels = torch.randn(4, 3, 64, 96), torch.tensor([0, 1, 2, 3])  # any size
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(3):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step}: loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
