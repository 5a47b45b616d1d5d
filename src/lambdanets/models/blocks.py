"""The parts of every residual network here: stems, shortcuts, and the bottleneck around a spatial mixer.

A mixer is what stands in a bottleneck's middle: a 3 × 3 convolution, or a lambda layer of the same width
(with its own pooling at stride 2), followed by BatchNorm and ReLU either way.

Initialisation: convolutions normal with fan-out variance 2; the last BatchNorm scale of a bottleneck 0, so that
each block begins as its shortcut.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lambdanets.models.spec import Design


class Bottleneck(nn.Module):
    """A residual block: 1 × 1 → mixer → 1 × 1 (→ squeeze-excite), each with its norm, added to the shortcut.

    Args:
        dim: channels of the input.
        width: channels of the mixer.
        dim_out: channels of the output.
        mixer: maps (b, width, *N) to (b, width, *M); halves the map where the shortcut does.
        shortcut: maps (b, dim, *N) to (b, dim_out, *M).
        squeeze_excite: weighs the dim_out channels after the last norm; None: no weighing.
        drop_path: probability that a sample skips the branch in training.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        dim_out: int,
        *,
        mixer: nn.Module,
        shortcut: nn.Module,
        squeeze_excite: nn.Module | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.reduce = convolution(dim, width, 1)
        self.norm_reduce = nn.BatchNorm2d(width)
        self.mixer = mixer
        self.norm_mixer = nn.BatchNorm2d(width)
        self.expand = convolution(width, dim_out, 1)
        self.norm_expand = nn.BatchNorm2d(dim_out)
        self.squeeze_excite = nn.Identity() if squeeze_excite is None else squeeze_excite
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = shortcut
        nn.init.zeros_(self.norm_expand.weight)

    def forward(self, x: Float[Tensor, "b d *N"]) -> Float[Tensor, "b d_out *M"]:
        """The block's output; a shortcut's stride is the mixer's."""
        branch = F.relu(self.norm_reduce(self.reduce(x)), inplace=True)
        branch = F.relu(self.norm_mixer(self.mixer(branch)), inplace=True)
        branch = self.squeeze_excite(self.norm_expand(self.expand(branch)))
        return F.relu(self.drop_path(branch) + self.shortcut(x), inplace=True)


class DropPath(nn.Module):
    """Stochastic depth: in training a branch is zero with probability `rate`, else scaled by 1 / (1 − rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        """The branch, with whole samples dropped in training."""
        if not self.training:
            return x
        keep = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * (keep.to(x.dtype) / (1.0 - self.rate))

    def extra_repr(self) -> str:
        """The rate, for printing."""
        return f"rate={self.rate}"


def build_stem(design: Design, in_chans: int, dim: int) -> tuple[nn.Module, nn.Module]:
    """The stem to stride 2 and the step to stride 4, both with `dim` output channels.

    vanilla: 7 × 7 convolution, max-pool. resnet-rs: three 3 × 3 convolutions (dim / 2, dim / 2, dim), a strided fourth
    in place of the max-pool. tiny: two strided 3 × 3 convolutions.
    """
    if design == "vanilla":
        return normed_relu(in_chans, dim, side=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
    step = normed_relu(dim, dim, side=3, stride=2)
    if design == "tiny":
        return normed_relu(in_chans, dim, side=3, stride=2), step
    stem = nn.Sequential(
        *normed_relu(in_chans, dim // 2, side=3, stride=2),
        *normed_relu(dim // 2, dim // 2, side=3),
        *normed_relu(dim // 2, dim, side=3),
    )
    return stem, step


def build_shortcut(design: Design, dim: int, dim_out: int, stride: int) -> nn.Module:
    """The identity where the shape stays, else a projection with its norm.

    vanilla: a strided 1 × 1 convolution. The others (ResNet-D): a 2 × 2 average pool, then 1 × 1; the pool rounds
    odd sizes up and leaves the padding out of its mean, so that both branches agree on the size.
    """
    if stride == 1 and dim == dim_out:
        return nn.Identity()
    norm = nn.BatchNorm2d(dim_out)
    if design == "vanilla" or stride == 1:
        return nn.Sequential(convolution(dim, dim_out, 1, stride), norm)
    pool = nn.AvgPool2d(2, stride=stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, convolution(dim, dim_out, 1), norm)


def normed_relu(dim: int, dim_out: int, *, side: int, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU."""
    return nn.Sequential(convolution(dim, dim_out, side, stride), nn.BatchNorm2d(dim_out), nn.ReLU(inplace=True))


def convolution(dim: int, dim_out: int, side: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A square convolution without bias, padded so that a map of n becomes one of ceil(n / stride)."""
    padding = dilation * (side // 2)
    layer = nn.Conv2d(dim, dim_out, side, stride=stride, padding=padding, dilation=dilation, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
