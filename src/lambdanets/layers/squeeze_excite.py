"""Squeeze-and-excitation: channel attention (Hu et al. 2018)."""

from torch import Tensor, nn


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
        flat = x.flatten(2)
        if visible is None:
            means = flat.mean(-1)
        else:
            means = flat.sum(-1) / visible.flatten(1).sum(-1, keepdim=True).clamp(min=1)
        gates = self.excite(self.act(self.squeeze(means))).sigmoid()
        return x * gates.reshape(*gates.shape, *[1] * (x.ndim - 2))
