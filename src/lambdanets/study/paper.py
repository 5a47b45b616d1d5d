"""What is printed: the figures of "LambdaNetworks: Modeling Long-Range Interactions Without Attention" (Bello, 2021).

arXiv 2102.08602. Numbers as printed there, no digit more; those of other papers say whose they are. None: not printed.
Accuracies are top-1 on ImageNet, in percent; throughputs are images a second on 8 TPUv3 cores; parameters in millions.
"""

from dataclasses import dataclass

PAPER = "Bello, LambdaNetworks, ICLR 2021, arXiv 2102.08602"
FROM_FIGURE = "read off the paper's speed–accuracy figure, ± 0.005 s"
FROM_MEMORY = "an ablation of the paper as remembered, not checked against the print"
STUDY_BATCH, STUDY_HEADS, STUDY_SIDE, STUDY_LAYERS = 128, 8, 56, 3
"""What the memory column of Table 4 is about: b images, h heads, maps of 56 × 56 positions, the three layers of c2."""


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """A layer in place of, or beside, every 3 × 3 convolution of a ResNet-50: Table 3."""

    key: str
    """Names the row in code."""
    layer: str
    """The row's label."""
    parameters: float | None
    top1: float | None


TABLE_3 = (
    LayerRow(key="convolution", layer="convolution", parameters=25.6, top1=76.9),
    LayerRow(key="channel", layer="+ channel attention (SE)", parameters=28.1, top1=77.6),
    LayerRow(key="linear-chen", layer="+ linear attention (Chen 2018)", parameters=33.0, top1=77.0),
    LayerRow(key="linear-shen", layer="+ linear attention (Shen 2018)", parameters=None, top1=77.3),
    LayerRow(key="augmented", layer="+ relative self-attention (Bello 2019)", parameters=25.8, top1=77.7),
    LayerRow(key="local", layer="local relative self-attention (Ramachandran 2019)", parameters=18.0, top1=77.4),
    LayerRow(key="local-hu", layer="local relative self-attention (Hu 2019)", parameters=23.3, top1=77.3),
    LayerRow(key="local-zhao", layer="local relative self-attention (Zhao 2020)", parameters=20.5, top1=78.2),
    LayerRow(key="lambda", layer="lambda layer", parameters=15.0, top1=78.4),
    LayerRow(key="lambda-u4", layer="lambda layer, u = 4", parameters=16.0, top1=78.9),
)


@dataclass(frozen=True, kw_only=True)
class AttentionRow:
    """A lambda layer or self-attention in ResNet-50, at inference: Table 4."""

    key: str
    layer: str
    space: str
    """Its space, in the paper's letters: b batch, l layers, h heads, n queries, m contexts, k key depth."""
    memory: float | str | None
    """GB: the attention maps or embeddings of the three layers of c2, not a measured total."""
    throughput: float | str | None
    """Images a second; "OOM": out of memory."""
    top1: float | str | None


TABLE_4 = (
    AttentionRow(
        key="global", layer="self-attention, global", space="b·l·h·n²", memory=120.0, throughput="OOM", top1="OOM"
    ),
    AttentionRow(
        key="axial", layer="self-attention, axial", space="b·l·h·n·√n", memory=4.8, throughput=960.0, top1=77.5
    ),
    AttentionRow(
        key="local", layer="self-attention, local 7 × 7", space="b·l·h·n·m", memory=None, throughput=440.0, top1=77.4
    ),
    AttentionRow(key="lambda", layer="lambda layer", space="l·k·n²", memory=1.9, throughput=1160.0, top1=78.4),
    AttentionRow(
        key="lambda-k8", layer="lambda layer, k = 8", space="l·k·n²", memory=0.95, throughput=1640.0, top1=77.9
    ),
    AttentionRow(
        key="lambda-shared", layer="lambda layer, shared embeddings", space="k·n²", memory=0.63, throughput=1210.0,
        top1=78.0,
    ),
    AttentionRow(
        key="lambda-convolution", layer="lambda convolution 7 × 7", space="l·k·n·m", memory=None, throughput=1100.0,
        top1=78.1,
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StagesRow:
    """A ResNet-50 whose stages c2 to c5 are lambda (L) or convolution (C): Table 12."""

    stages: str
    parameters: float
    throughput: float
    top1: float

    @property
    def model(self) -> str:
        """Its name for `create_model`."""
        return f"resnet50_{self.stages.lower()}"


TABLE_12 = (
    StagesRow(stages="CCCC", parameters=25.6, throughput=7240, top1=76.9),
    StagesRow(stages="LCCC", parameters=25.5, throughput=1880, top1=77.3),
    StagesRow(stages="LLCC", parameters=25.0, throughput=1280, top1=77.2),
    StagesRow(stages="LLLC", parameters=21.7, throughput=1160, top1=77.8),
    StagesRow(stages="LLLL", parameters=15.0, throughput=1160, top1=78.4),
    StagesRow(stages="CLLL", parameters=15.1, throughput=2200, top1=78.3),
    StagesRow(stages="CCLL", parameters=15.4, throughput=4980, top1=78.3),
    StagesRow(stages="CCCL", parameters=18.8, throughput=7160, top1=77.3),
)


@dataclass(frozen=True, kw_only=True)
class FamilyCount:
    """The printed size of a network of the family."""

    model: str
    """Name for `create_model`."""
    c4: str
    """"hybrid", or "all": the submission's variant, lambda layers in all of c4."""
    parameters: float
    has_statistics: bool
    """Whether BatchNorm's running statistics are among the parameters."""
    digits: int
    """Digits behind the point in print."""
    source: str


_NFNETS = "Brock 2021 (NFNets), Table 3"
_SUBMISSION = "the paper's submission"
FAMILY_COUNTS = (
    FamilyCount(model="lambda_resnet152", c4="hybrid", parameters=51.5, has_statistics=True, digits=1, source=_NFNETS),
    FamilyCount(model="lambda_resnet350", c4="hybrid", parameters=105.8, has_statistics=True, digits=1, source=_NFNETS),
    FamilyCount(model="lambda_resnet420", c4="hybrid", parameters=124.8, has_statistics=True, digits=1, source=_NFNETS),
    FamilyCount(model="lambda_resnet152", c4="all", parameters=35, has_statistics=False, digits=0, source=_SUBMISSION),
    FamilyCount(model="lambda_resnet200", c4="all", parameters=42, has_statistics=False, digits=0, source=_SUBMISSION),
)


@dataclass(frozen=True, kw_only=True)
class SpeedPoint:
    """A network at an image size: a training step's time against its accuracy."""

    network: str
    """LambdaResNets by their name for `create_model`, EfficientNets by timm's."""
    image_size: int
    seconds: float
    """Of one training step of 1024 images on 8 TPUv3 cores; read off the figure."""
    top1: float

    @property
    def throughput(self) -> float:
        """Images a second."""
        return 1024 / self.seconds


def _family(depth: int, image_size: int, seconds: float, top1: float) -> SpeedPoint:
    return SpeedPoint(network=f"lambda_resnet{depth}", image_size=image_size, seconds=seconds, top1=top1)


def _efficient(number: int, image_size: int, seconds: float, top1: float) -> SpeedPoint:
    return SpeedPoint(network=f"efficientnet_b{number}", image_size=image_size, seconds=seconds, top1=top1)


LAMBDA_RESNETS = (
    _family(50, 128, 0.058, 77.4),
    _family(50, 160, 0.089, 79.2),
    _family(101, 160, 0.14, 80.8),
    _family(101, 192, 0.20, 81.9),
    _family(152, 192, 0.28, 82.5),
    _family(152, 224, 0.38, 83.2),
    _family(152, 256, 0.49, 83.8),
    _family(270, 256, 0.91, 84.2),
    _family(350, 256, 1.16, 84.4),
    _family(350, 288, 1.48, 84.5),
    _family(350, 320, 1.91, 84.7),
    _family(420, 320, 2.25, 84.9),
)
"""The family on the speed–accuracy figure."""

EFFICIENTNETS = (
    _efficient(0, 224, 0.091, 77.1),
    _efficient(1, 240, 0.149, 79.1),
    _efficient(2, 260, 0.210, 80.1),
    _efficient(3, 300, 0.343, 81.6),
    _efficient(4, 380, 0.713, 82.9),
    _efficient(5, 456, 1.51, 83.7),
    _efficient(6, 528, 3.03, 84.0),
    _efficient(7, 600, 6.04, 84.7),
)
"""EfficientNets on the same axes; their image sizes are those of Tan and Le, 2019."""

SPEED_UPS = ((84.0, 4.4), (84.7, 3.2))
"""Printed speed-ups over EfficientNet at equal accuracy: at B6's and at B7's."""

SCOPE_ABLATION = (("3", 77.6), ("7", 78.2), ("15", 78.5), ("23", 78.3), ("31", 78.5), ("global", 78.4))
"""Scope of the position lambdas → accuracy of the lambda ResNet-50; from memory."""
CONTENT_ABLATION = (("content only", 68.8), ("position only", 78.1), ("both", 78.4))
"""Which lambdas there are → accuracy; from memory."""
KEYS_ABLATION = (("softmax", 78.4), ("L2", 78.0), ("none", 70.0))
"""How keys are normalised → accuracy; from memory."""
