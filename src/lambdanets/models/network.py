"""The residual network: stem, four stages, pooled classifier, with its intermediate maps by name.

One class serves every name of `create_model`. Beside `forward` and `features` it speaks the protocol that timm
expects of a model (`forward_features`, `forward_head`, `forward_intermediates`, …) without importing timm.

Axes: images (b, in_chans, height, width); a map of stride s has ceil(height / s) × ceil(width / s) positions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lambdanets.models.head import GlobalPool, build_classifier
from lambdanets.models.padded import Padded, padded
from lambdanets.models.recompute import recomputed
from lambdanets.models.spec import STAGE_NAMES

MIN_SIZE = 32  # pixels: the last of four stages has stride 32


class ResNet(nn.Module):
    """Stem → c2 (→ c3 → c4 → c5) → global pool → dropout → classifier.

    Args:
        stem: images to the map of stride 2.
        step: from stride 2 to stride 4.
        stages: one to four sequences of bottlenecks, strides 4, 8, 16, 32.
        dims: channels of the maps, stem first.
        in_chans: channels of the images.
        num_classes: outputs of the classifier; 0: `forward` returns the pooled features.
        global_pool: one of `spec.GLOBAL_POOLS`.
        drop_rate: dropout before the classifier.
    """

    def __init__(
        self,
        stem: nn.Module,
        step: nn.Module,
        stages: Sequence[nn.Sequential],
        *,
        dims: Sequence[int],
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.step = step
        self.stage_names = STAGE_NAMES[: len(stages)]
        for name, stage in zip(self.stage_names, stages, strict=True):
            setattr(self, name, stage)
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.num_features = dims[-1]
        self.feature_info = [
            {"num_chs": dim, "reduction": 2 ** (index + 1), "module": module}
            for index, (dim, module) in enumerate(zip(dims, ("stem", *self.stage_names), strict=True))
        ]
        self.num_classes = num_classes
        self.global_pool = GlobalPool(global_pool)
        self.classifier = build_classifier(self.head_hidden_size, num_classes, self.global_pool)

    @property
    def head_hidden_size(self) -> int:
        """Channels that reach the classifier."""
        return self.num_features * self.global_pool.feature_multiple

    def forward(self, x: Float[Tensor, "b channels *size"]) -> Float[Tensor, "b *logits"]:
        """Logits (b, num_classes); pooled features where num_classes is 0.

        Raises ValueError for images that are too small, empty, of other channels, or not floating point; and in
        training for a batch that leaves the last stage one value a channel, of which BatchNorm has no variance.
        """
        return self.forward_head(self.forward_features(x))

    def features(
        self, x: Float[Tensor, "b channels y x"], visible: Bool[Tensor, "b y x"] | None = None
    ) -> dict[str, Tensor]:
        """The maps after each stage: c2 (stride 4), c3 (8), c4 (16), c5 (32).

        Args:
            x: images.
            visible: True where x is image, False where it is padding to the right of or below it. What becomes of an
                image is then what it would be by itself; hidden positions of the maps are zero. None: no padding.
        """
        if visible is None:
            maps = self._maps(x)[1:]
        else:
            maps = [part for part, _ in self.padded_features(x, visible)]
        return dict(zip(self.stage_names, maps, strict=True))

    def padded_features(
        self, x: Float[Tensor, "b channels y x"], visible: Bool[Tensor, "b y x"], depth: int = len(STAGE_NAMES)
    ) -> list[Padded]:
        """The first `depth` maps of `features`, each with what is visible of it: of n positions ceil(n / stride)."""
        self._check_images(x)
        if visible.dtype != torch.bool or visible.shape != (x.shape[0], *x.shape[2:]):
            raise ValueError(
                f"visible is {visible.dtype} of shape {tuple(visible.shape)}; wanted bool of shape "
                f"{(x.shape[0], *x.shape[2:])}: the images without their channels."
            )
        x = x.masked_fill(~visible[:, None], 0)
        maps = [padded(self.step, *padded(self.stem, x, visible))]
        for stage in self._stages()[:depth]:
            maps.append(self._run_stage(stage, *maps[-1]))
        return maps[1:]

    def forward_features(self, x: Float[Tensor, "b channels *size"]) -> Float[Tensor, "b d *N"]:
        """The last map."""
        self._check_images(x)
        x = self.step(self.stem(x))
        for stage in self._stages():
            x = self._run_stage(stage, x)
        return x

    def forward_head(self, x: Float[Tensor, "b d *N"], pre_logits: bool = False) -> Float[Tensor, "b *logits"]:
        """From the last map to logits, or to what enters the classifier with `pre_logits`."""
        x = F.dropout(self.global_pool(x), self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def forward_intermediates(
        self,
        x: Float[Tensor, "b channels *size"],
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The last map and chosen maps in order of depth; the chosen maps alone with `intermediates_only`.

        Args:
            x: images.
            indices: which of the maps (0: the stem's, 1 … 4: c2 … c5); an int: the last so many; None: all.
            norm: without effect, since every map here already ends in norm and ReLU.
            stop_early: leave out the stages after the last chosen map.
            output_fmt: "NCHW", the only layout.
            intermediates_only: leave the last map out of the result.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt is {output_fmt!r}; these networks give maps as 'NCHW' only.")
        taken = map_indices(indices, len(self.feature_info))
        maps = self._maps(x, max(taken) if stop_early else len(self.stage_names))
        chosen = [maps[index] for index in sorted(set(taken))]
        return chosen if intermediates_only else (maps[-1], chosen)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the stages after the last of `indices` and the head; returns the indices counted from the stem."""
        taken = map_indices(indices, len(self.feature_info))
        last = max(taken)
        if last == 0:
            self.step = nn.Identity()
        for name in self.stage_names[last:]:
            setattr(self, name, nn.Sequential())
        self.num_features = self.feature_info[last]["num_chs"]
        if prune_head or last < len(self.stage_names):
            self.reset_classifier(0, "")
        return taken

    def get_classifier(self, name_only: bool = False) -> nn.Module | str:
        """The classifier, or its name in the state dict."""
        return "classifier" if name_only else self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier for `num_classes` (0: none), and another global pool where one is named."""
        pool = self.global_pool if global_pool is None else GlobalPool(global_pool)
        weight = next(self.parameters())
        dim = self.num_features * pool.feature_multiple
        self.classifier = build_classifier(dim, num_classes, pool).to(weight.device, weight.dtype)
        self.num_classes, self.global_pool = num_classes, pool

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only the input of each bottleneck in training and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Patterns that order the parameters by depth, for layer-wise learning rates; by stage with `coarse`."""
        return {"stem": r"^(?:stem|step)\.", "blocks": r"^c(\d+)" if coarse else r"^c(\d+)\.(\d+)"}

    def _maps(self, x: Tensor, depth: int = len(STAGE_NAMES)) -> list[Tensor]:
        """The stem's map and those of the first `depth` stages."""
        self._check_images(x)
        maps = [self.stem(x)]
        for index, stage in enumerate(self._stages()[:depth]):
            maps.append(self._run_stage(stage, maps[-1] if index else self.step(maps[-1])))
        return maps

    def _stages(self) -> tuple[nn.Module, ...]:
        return tuple(getattr(self, name) for name in self.stage_names)

    def _run_stage(self, stage: nn.Module, x: Tensor, visible: Tensor | None = None) -> Any:
        """The map behind a stage; with `visible`, both on a padded map."""
        if not (self.grad_checkpointing and torch.is_grad_enabled()):
            return stage(x) if visible is None else padded(stage, x, visible)
        for block in stage.children():
            if visible is None:
                x = recomputed(block, x)
            else:
                x, visible = recomputed(block, x, visible, run=padded)
        return x if visible is None else (x, visible)

    def _check_images(self, x: Tensor) -> None:
        """ValueError for images that no stage could take."""
        shape = tuple(x.shape)
        if x.ndim != 4 or x.shape[1] != self.in_chans:
            raise ValueError(f"images have shape {shape}; wanted (batch, {self.in_chans}, height, width).")
        if not x.is_floating_point():
            raise ValueError(f"images are {x.dtype}; wanted floating point: scale and normalise them first.")
        batch, _, height, width = x.shape
        if batch == 0:
            raise ValueError(f"images have shape {shape}: an empty batch; give at least one image.")
        if height < MIN_SIZE or width < MIN_SIZE:
            raise ValueError(
                f"images are {height} × {width}; wanted at least {MIN_SIZE} × {MIN_SIZE} pixels: resize or pad them."
            )
        reduction = self.feature_info[-1]["reduction"]
        one_value = batch * -(-height // reduction) * -(-width // reduction) == 1
        if self.training and one_value and _has_live_norms(self._stages()[-1]):
            raise ValueError(
                f"images have shape {shape}: in training the last stage would see one value a channel, which has no "
                f"variance; give a batch of 2 or more, a side above {reduction} pixels, or call eval()."
            )


def map_indices(indices: int | Sequence[int] | None, num_maps: int) -> list[int]:
    """Indices among the maps as non-negative numbers; an int means the last so many, None all.

    Raises ValueError for one that no map has, or for no map at all.
    """
    if indices is None:
        return list(range(num_maps))
    chosen = list(range(-indices, 0)) if isinstance(indices, int) else indices
    if not chosen or any(not -num_maps <= index < num_maps for index in chosen):
        raise ValueError(f"indices are {indices!r}; wanted some of 0 … {num_maps - 1} (the stem, c2, c3 …).")
    return [index % num_maps for index in chosen]


def _has_live_norms(module: nn.Module) -> bool:
    """Whether a BatchNorm inside would take its statistics from the batch."""
    return any(part.training for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))
