"""From a spec and options to a network: plain builders, the only place where specs meet modules."""

from torch import nn

from lambdanets.layers import LambdaLayer, PositionTable, SqueezeExcite
from lambdanets.models.blocks import Bottleneck, build_shortcut, build_stem, convolution
from lambdanets.models.network import ResNet
from lambdanets.models.spec import DROP_PATH_SHARES, NetworkOptions, NetworkSpec, Scope


def build_network(spec: NetworkSpec, options: NetworkOptions, *, num_classes: int, in_chans: int) -> ResNet:
    """The network of `spec` with freshly drawn weights, in training mode."""
    stem, step = build_stem(spec.design, in_chans, spec.stem_dim)
    lambdas = LambdaLayers(options, scope=default_scope(spec, options))
    stages = [build_stage(spec, index, lambdas, options.drop_path_rate) for index in range(len(spec.stages))]
    network = ResNet(
        stem,
        step,
        stages,
        dims=(spec.stem_dim, *(stage.width * spec.expansion for stage in spec.stages)),
        in_chans=in_chans,
        num_classes=num_classes,
        global_pool=options.global_pool,
        drop_rate=options.drop_rate,
    )
    network.set_grad_checkpointing(options.checkpointing)
    return network


def build_stage(spec: NetworkSpec, index: int, lambdas: "LambdaLayers", drop_path_rate: float) -> nn.Sequential:
    """The bottlenecks of stage `index` (0: c2 … 3: c5)."""
    stage = spec.stages[index]
    dim = spec.stages[index - 1].width * spec.expansion if index else spec.stem_dim
    dim_out = stage.width * spec.expansion
    blocks = []
    for position in range(1, stage.blocks + 1):
        first = position == 1
        stride = 2 if first and index else 1
        if position in stage.lambda_blocks:
            mixer = lambdas.layer(stage.width, reduction=2 ** (index + 2) // stride, stride=stride)
        else:
            mixer = convolution(stage.width, stage.width, 3, stride)
        block = Bottleneck(
            dim if first else dim_out,
            stage.width,
            dim_out,
            mixer=mixer,
            shortcut=build_shortcut(spec.design, dim if first else dim_out, dim_out, stride),
            squeeze_excite=SqueezeExcite(dim_out, ratio=0.25) if stage.squeeze_excite else None,
            drop_path=drop_path_rate * DROP_PATH_SHARES[index],
        )
        blocks.append(block)
    return nn.Sequential(*blocks)


class LambdaLayers:
    """Makes the lambda layers of one network, and remembers the position tables that they share."""

    def __init__(self, options: NetworkOptions, *, scope: int | tuple[int, int] | None) -> None:
        self.options = options
        self.scope = scope
        self.tables: dict[tuple[int, int], PositionTable] = {}

    def layer(self, width: int, *, reduction: int, stride: int) -> LambdaLayer:
        """A lambda layer of `width` channels on a map of 1 / `reduction` of the image, then pooled by `stride`."""
        options = self.options
        return LambdaLayer(
            width,
            dim_key=options.dim_key,
            num_heads=options.num_heads,
            dim_intra=options.dim_intra,
            scope=self.scope,
            content=options.content,
            normalize_keys=options.normalize_keys,
            stride=stride,
            table=self.shared_table(width, reduction),
            impl=options.impl,
        )

    def shared_table(self, width: int, reduction: int) -> PositionTable | None:
        """The one table of all layers of this width on maps of this size; None: the layer makes its own."""
        if not self.options.shared_tables or self.scope is None:
            return None
        if (width, reduction) not in self.tables:
            table = PositionTable(self.options.dim_key, self.options.dim_intra, self.scope, num_axes=2)
            self.tables[width, reduction] = table
        return self.tables[width, reduction]


def default_scope(spec: NetworkSpec, options: NetworkOptions) -> int | tuple[int, int] | None:
    """The scope that `options` asks for, or the spec's own for this intra-depth."""
    scope: Scope = options.scope
    if scope != "default":
        return scope
    return spec.scope if options.dim_intra == 1 else spec.scope_intra
