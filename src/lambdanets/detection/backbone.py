"""A network's maps c2 … c5 as a feature pyramid, on padded batches: levels p2 … p6 for torchvision's detector."""

from collections.abc import Sequence
from typing import Self

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork

from lambdanets.models.network import ResNet
from lambdanets.models.padded import halved, padded
from lambdanets.models.spec import STAGE_NAMES
from lambdanets.training.fine_tuning import fill_but_classifier

STAGES = ("stem", "step", *STAGE_NAMES)


class Pyramid(FeaturePyramidNetwork):
    """torchvision's feature pyramid, for padded maps as well."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, maps: Sequence[Tensor], visible: Sequence[Tensor | None]
    ) -> list[Tensor]:
        """A level a map, fine to coarse, each zero where the map is hidden (visible None: nowhere)."""
        sums = None
        levels: list[Tensor] = []
        for inner, layer, x, seen in reversed(
            list(zip(self.inner_blocks, self.layer_blocks, maps, visible, strict=True))
        ):
            lateral = _on_map(inner, x, seen)
            sums = lateral if sums is None else lateral + _as_fine_as(sums, lateral, seen)
            levels.insert(0, _on_map(layer, sums, seen))
        return levels


class PyramidBackbone(nn.Module):
    """Images to pyramid levels.

    Args:
        body: the network.
        levels: pyramid levels in order, 2 to 6 at most; see `DetectorOptions`.
        dim: channels of the pyramid.
        norms: whether its convolutions have BatchNorms.
        frozen_stages: how many parts of the body stay as they are, 0 to 5.
        frozen_norms: whether all norms of the body stay as they are.
    """

    def __init__(
        self,
        body: ResNet,
        levels: Sequence[int],
        *,
        dim: int = 256,
        norms: bool = True,
        frozen_stages: int = 0,
        frozen_norms: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.levels = tuple(levels)
        self.stages = [level - 1 for level in levels if level < 6]  # as `forward_intermediates` counts them
        dims = [body.feature_info[index]["num_chs"] for index in self.stages]
        self.pyramid = Pyramid(dims, dim, norm_layer=nn.BatchNorm2d if norms else None)
        self.out_channels = dim
        self.frozen_norms = frozen_norms
        self.frozen_stages = STAGES[: frozen_stages + 1] if frozen_stages else ()
        self._freeze()

    def forward(
        self, images: Float[Tensor, "b 3 y x"], visible: Bool[Tensor, "b y x"] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
        """Levels by name, "p2" … "p6", and what is visible of each (None: everything)."""
        seen: list[Tensor | None] = [None] * len(self.stages)
        if visible is None:
            maps = self.body.forward_intermediates(images, self.stages, stop_early=True, intermediates_only=True)
            assert isinstance(maps, list)
        else:
            stages = self.body.padded_features(images, visible, depth=self.stages[-1])
            maps = [stages[index - 1][0] for index in self.stages]
            seen = [stages[index - 1][1] for index in self.stages]
        levels = self.pyramid(maps, seen)
        if self.levels[-1] == 6:  # as torchvision's LastLevelMaxPool
            levels.append(levels[-1][..., ::2, ::2])
            seen.append(None if seen[-1] is None else halved(seen[-1]))
        names = [f"p{level}" for level in self.levels]
        return dict(zip(names, levels, strict=True)), dict(zip(names, seen, strict=True))

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but what is frozen."""
        super().train(mode)
        for norm in self._frozen_norms():
            norm.eval()
        return self

    def _freeze(self) -> None:
        for stage in self.frozen_stages:
            getattr(self.body, stage).requires_grad_(False)
        for stage in STAGE_NAMES[self.stages[-1] :]:  # beyond the last level: never computed
            getattr(self.body, stage).requires_grad_(False)
        for norm in self._frozen_norms():
            norm.requires_grad_(False)
        self.train(self.training)

    def _frozen_norms(self) -> list[nn.Module]:
        parts = [self.body] if self.frozen_norms else [getattr(self.body, stage) for stage in self.frozen_stages]
        return [norm for part in parts for norm in part.modules() if isinstance(norm, _BatchNorm)]


def begin_from(backbone: PyramidBackbone, init: str) -> None:
    """Fill the network under a pyramid with the weights of a classification run, whatever its classes were.

    Args:
        backbone: the detector's.
        init: the folder of a finished run, or a .safetensors file.

    Raises:
        ValueError: there are no such weights, or they are another network's.
    """
    try:
        fill_but_classifier(backbone.body, init)
    except ValueError as error:
        reason, _, advice = str(error).partition(" Set model and")
        if not advice:
            raise
        raise ValueError(
            f"{reason} A detector begins from a classifier with the same network and options for pictures in colour, "
            "not from another detector."
        ) from error


def _on_map(block: nn.Module, x: Tensor, visible: Tensor | None) -> Tensor:
    """`block(x)`, zero where hidden."""
    return block(x) if visible is None else padded(block, x, visible)[0]


def _as_fine_as(coarse: Tensor, fine: Tensor, visible: Tensor | None) -> Tensor:
    """Each position of the coarse map twice along both axes, cut to the size of the fine one, zero where hidden."""
    x = F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
    return x if visible is None else x.masked_fill(~visible[:, None], 0)
