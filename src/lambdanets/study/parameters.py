"""The part "parameters": Tables 3 and 12 and the family, counted from what the networks are made of.

Every network is built without memory for its weights, so that the largest takes a second. A count equals the print
where it rounds to it; the two that do not are explained, not bent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lambdanets.models import list_models
from lambdanets.models.counting import describe
from lambdanets.models.lambda_resnet import SPECS as FAMILY
from lambdanets.study.paper import FAMILY_COUNTS, TABLE_3, TABLE_12, FamilyCount, LayerRow
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.shown import Cell, Column, Shown, Table

SIZE = 224
"""Pixels a side of the images of the paper's ResNet-50s."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to be counted."""

    name: str
    """For `create_model`."""
    size: int = SIZE
    """Side of its image in pixels."""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name, size and options in one word."""
        return "-".join([self.name, str(self.size), *(f"{name}_{value}" for name, value in self.options.items())])


LAYERS: Mapping[str, Network] = {
    "convolution": Network(name="resnet50_cccc"),
    "channel": Network(name="resnet50_se"),
    "linear-shen": Network(name="resnet50_linear_attention"),
    "augmented": Network(name="resnet50_augmented"),
    "local": Network(name="resnet50_local_attention"),
    "lambda": Network(name="resnet50_llll"),
    "lambda-u4": Network(name="resnet50_llll", options={"dim_intra": 4}),
    "global": Network(name="resnet50_attention"),
    "axial": Network(name="resnet50_axial_attention"),
}
"""Row of Table 3 → the network that it is about; then two that Table 3 does not have."""
BESIDE_TABLE_3 = (
    LayerRow(key="global", layer="global relative self-attention", parameters=None, top1=None),
    LayerRow(key="axial", layer="axial relative self-attention", parameters=None, top1=None),
)
"""What Table 4 measures and no table counts."""
ONLY_CHEN = (
    "33.0 is the linear attention of Chen 2018; that of Shen 2018 has no printed count. Here it is in place of the "
    "convolutions."
)
ONLY_CCLL = (
    "CCLL: printed 15.4. The neighbours fix it: CLLL and CCLL differ by the four layers of c3, each 147 456 − 22 992 "
    "parameters, that is 0.50 M in all, and the printed pair, 15.1 and 15.4, by 0.3."
)
ONLY_152 = (
    "lambda_resnet152: 51.56 M, printed 51.5, which is that number cut, not rounded; the two larger networks of the "
    "same code meet their print."
)
COUNTED_HOW = (
    "Multiply-adds are those of convolutions, matrix products and lambda layers for one image, the position part in "
    "the paper's own order (the lambda convolution), with a window no wider than the map can use."
)


@dataclass(frozen=True)
class Parameters:
    """Counts the networks."""

    name: str = "parameters"
    title: str = "Parameters: the paper's tables, counted again"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """A network each; quick or not, they are the same."""
        known = list_models()
        return [
            Piece(key=network.key, seconds=0.5, work=partial(count, network))
            for network in {network.key: network for network in _networks()}.values()
            if network.name in known
        ]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """Table 3, Table 12, the family."""
        tables = [_layers_table(answers), _stages_table(answers), _family_table(answers)]
        verdicts = [row[table.columns.index(EQUAL)] for table in tables for row in table.rows]
        met = sum(verdict == "yes" for verdict in verdicts)
        printed = sum(verdict is not None for verdict in verdicts)
        return Shown(title=self.title, summary=_summary(answers, met, printed), tables=tables)


def count(network: Network) -> Answer:
    """The numbers of a network."""
    found = describe(network.name, image_size=network.size, **network.options)
    return {
        "parameters": found.parameters,
        "statistics": found.statistics,
        "multiply_adds": found.multiply_adds,
        "lambda_blocks": found.lambda_blocks,
    }


PARAMETERS = Column(name="parameters", unit="M", origin="paper", digits=1)
TOP1 = Column(name="top-1", unit="%", origin="paper", digits=1)
COUNTED = Column(name="parameters", unit="M", origin="counted")
EQUAL = Column(name="equals the print", origin="counted")
MULTIPLY_ADDS = Column(name="multiply-adds", unit="G", origin="counted")


def _layers_table(answers: Mapping[str, Answer]) -> Table:
    rows = []
    for row in (*TABLE_3, *BESIDE_TABLE_3):
        found = answers.get(LAYERS[row.key].key) if row.key in LAYERS else None
        if found is None and row.parameters is None:
            continue
        rows.append((row.layer, row.parameters, row.top1, *_counted(found, row.parameters, 1)))
    return Table(
        name="parameters",
        title="Table 3: ResNet-50 with another layer in place of, or beside (+), every 3 × 3 convolution",
        columns=(Column(name="layer", origin="label"), PARAMETERS, TOP1, COUNTED, EQUAL, MULTIPLY_ADDS),
        rows=tuple(rows),
        notes=(ONLY_CHEN, "Layers without a count are of papers whose networks are not built here.", COUNTED_HOW),
    )


def _stages_table(answers: Mapping[str, Answer]) -> Table:
    rows = []
    for row in TABLE_12:
        found = answers[Network(name=row.model).key]
        rows.append((row.stages, row.parameters, row.top1, *_counted(found, row.parameters, 1)))
    return Table(
        name="parameters-stages",
        title="Table 12: which of the four stages of ResNet-50 have lambda layers (L), which convolutions (C)",
        columns=(Column(name="stages", origin="label"), PARAMETERS, TOP1, COUNTED, EQUAL, MULTIPLY_ADDS),
        rows=tuple(rows),
        notes=(ONLY_CCLL,),
    )


def _family_table(answers: Mapping[str, Answer]) -> Table:
    printed = {(row.model, row.c4): row for row in FAMILY_COUNTS}
    rows = [_family_row(network, printed.get((network.name, _c4(network))), answers) for network in _family()]
    return Table(
        name="parameters-family",
        title="The LambdaResNet family, with counts that the paper's submission and another paper print",
        columns=(
            Column(name="network", origin="label"),
            Column(name="image", unit="px", origin="label"),
            PARAMETERS,
            Column(name="printed by", origin="paper"),
            COUNTED,
            Column(name="with statistics", unit="M", origin="counted"),
            EQUAL,
            MULTIPLY_ADDS,
            Column(name="lambda blocks", origin="counted"),
        ),
        rows=tuple(rows),
        notes=(
            "The NFNet paper counts BatchNorm's running means and variances as parameters, so its counts are compared "
            "with those that have them.",
            ONLY_152,
        ),
    )


def _family_row(network: Network, printed: FamilyCount | None, answers: Mapping[str, Answer]) -> tuple[Cell, ...]:
    found = answers[network.key]
    label = network.name + (", lambda layers in all of c4" if _c4(network) == "all" else "")
    whole = found["parameters"] + found["statistics"]
    compared = whole if printed is not None and printed.has_statistics else found["parameters"]
    return (
        label,
        network.size,
        None if printed is None else printed.parameters,
        None if printed is None else printed.source,
        found["parameters"] / 1e6,
        whole / 1e6,
        None if printed is None else verdict(compared, printed.parameters, printed.digits),
        found["multiply_adds"] / 1e9,
        found["lambda_blocks"],
    )


def _counted(found: Answer | None, printed: float | None, digits: int) -> tuple[Cell, Cell, Cell]:
    """Parameters in millions, whether that is what is printed, multiply-adds in 10⁹."""
    if found is None:
        return None, None, None
    equal = None if printed is None else verdict(found["parameters"], printed, digits)
    return found["parameters"] / 1e6, equal, found["multiply_adds"] / 1e9


def verdict(count: int, printed: float, digits: int) -> str:
    """Whether a count rounds to what is printed, in millions with so many digits; if not, by how much it differs."""
    millions = count / 1e6
    return "yes" if round(millions, digits) == printed else f"no, {millions - printed:+.2f}"


def _summary(answers: Mapping[str, Answer], met: int, printed: int) -> list[str]:
    lambdas, convolutions = (answers[LAYERS[key].key]["parameters"] / 1e6 for key in ("lambda", "convolution"))
    return [
        "Do the networks have as few parameters as the paper prints? Parameters are the numbers that a network learns; "
        "they can be counted exactly, so this is where a definition that differs from the paper's would show first.",
        f"Of {printed} printed counts, {met} are met to the printed digit; the notes say what is known of the others. "
        f"With lambda layers in place of all its 3 × 3 convolutions a ResNet-50 has {lambdas:.1f} million parameters, "
        f"with the convolutions {convolutions:.1f}.",
    ]


def _networks() -> list[Network]:
    stages = [Network(name=row.model) for row in TABLE_12]
    return [*LAYERS.values(), *stages, *_family()]


def _family() -> list[Network]:
    """All depths, then those of the submission that are printed."""
    depths = [Network(name=name, size=spec.image_size) for name, spec in FAMILY.items()]
    submitted = [
        Network(name=row.model, size=FAMILY[row.model].image_size, options={"c4": row.c4})
        for row in FAMILY_COUNTS
        if row.c4 != "hybrid"
    ]
    return [*depths, *submitted]


def _c4(network: Network) -> str:
    return network.options.get("c4", "hybrid")
