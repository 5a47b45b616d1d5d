"""The networks of Table 4 and Table 12, with what is printed of their speed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lambdanets.study import paper
from lambdanets.study.throughput import Network

REFERENCE = "resnet50_cccc"
"""The network of convolutions, which all others are timed beside."""
Group = Literal["attention", "stages"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A network of the part."""

    group: Group
    """"attention": Table 4 and its like; "stages": Table 12."""
    label: str
    model: str
    printed: float | str | None
    """The paper's images a second, or "OOM"."""
    options: Mapping[str, Any] = field(default_factory=dict)
    is_quick: bool = True
    """Whether --quick measures it too."""

    def network(self, side: int) -> Network:
        """It at an image size."""
        return Network(name=self.model, side=side, options=self.options)


_TABLE_4: dict[str, tuple[str, dict[str, Any]]] = {
    "global": ("resnet50_attention", {}),
    "axial": ("resnet50_axial_attention", {}),
    "local": ("resnet50_local_attention", {}),
    "lambda": ("resnet50_llll", {}),
    "lambda-k8": ("resnet50_llll", {"dim_key": 8}),
    "lambda-shared": ("resnet50_llll", {"shared_tables": True}),
    "lambda-convolution": ("resnet50_llll", {"scope": 7}),
}
"""Key of a row of the paper's table → our name and options for it."""
_NOT_QUICK = ("lambda-shared", "LLCC", "LLLC")
"""Rows that --quick leaves out: their speed is between those of their neighbours."""
_UNPRINTED = (
    ("lambda layer, embeddings of n × m formed (dense)", "resnet50_llll", {"impl": "dense"}),
    ("+ relative self-attention (AA-ResNet)", "resnet50_augmented", {}),
    ("linear attention (Shen 2018)", "resnet50_linear_attention", {}),
    ("+ channel attention (SE)", "resnet50_se", {}),
)
"""Layers whose speed the paper does not print, for the whole picture."""


def rows() -> tuple[Row, ...]:
    """Every network but the reference."""
    attention = [
        Row(
            group="attention",
            label=row.layer,
            model=model,
            options=options,
            printed=row.throughput,
            is_quick=row.key not in _NOT_QUICK,
        )
        for row in paper.TABLE_4
        for model, options in (_TABLE_4[row.key],)
    ]
    attention += [
        Row(group="attention", label=label, model=model, options=options, printed=None, is_quick=False)
        for label, model, options in _UNPRINTED
    ]
    stages = [
        Row(
            group="stages",
            label=row.stages,
            model=row.model,
            printed=row.throughput,
            is_quick=row.stages not in _NOT_QUICK,
        )
        for row in paper.TABLE_12
        if row.model != REFERENCE
    ]
    return (*attention, *stages)
