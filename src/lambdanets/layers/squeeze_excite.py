"""Squeeze-and-excitation: channel attention (Hu et al. 2018)."""

from torch import Tensor, nn

from lambdanets.ops.precision import at_least_fp32


class SqueezeExcite(nn.Module):
    """Scales each channel of (b, dim, *N) by a gate computed from the mean of all channels.

    Args:
        dim: channels d.
        ratio: hidden channels over d, above 0; 0.25 in ResNet-RS and the LambdaResNets, 1/16 in the SE paper.
    """

    def __init__(self, dim: int, ratio: float = 0.25):
        super().__init__()
        hidden = max(1, round(dim * ratio))
        self.squeeze = nn.Linear(dim, hidden)
        self.act = nn.ReLU(inplace=True)
        self.excite = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """The gated map, of the shape of x.

        Args:
            x: (b, dim, *N).
            visible: (b, *N), True where the mean is taken; x is zero elsewhere. None: everywhere.
        """
        means = x.flatten(2).mean(-1)
        if visible is not None:  # no sum on the way, which float16 may not hold
            share = visible.flatten(1).to(at_least_fp32(x.dtype)).mean(-1, keepdim=True)
            means = means / share.clamp(min=1 / visible[0].numel()).to(x.dtype)
        gates = self.excite(self.act(self.squeeze(means))).sigmoid()
        return x * gates.reshape(*gates.shape, *[1] * (x.ndim - 2))
