"""Every network by name: `create_model` and `list_models`."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from lambdanets.models import baselines, lambda_resnet, probe, resnet, tiny
from lambdanets.models.attentions import AttentionOptions, AugmentedOptions, LocalOptions
from lambdanets.models.lambda_resnet import FamilyOptions, build_lambda_resnet
from lambdanets.models.lambdas import LambdaOptions, build_lambda_network
from lambdanets.models.network import ResNet
from lambdanets.models.spec import NetworkOptions, NetworkSpec, check_number
from lambdanets.nearest import advice


@dataclass(frozen=True, kw_only=True)
class Family:
    """Names that share a table of specs, a class of options and a builder."""

    specs: dict[str, NetworkSpec]
    """Name → network."""
    options: type[NetworkOptions]
    """The options these names take."""
    build: Callable[..., ResNet]
    """(spec, options, num_classes=, in_chans=) → network."""


FAMILIES = (
    Family(specs=tiny.SPECS, options=LambdaOptions, build=tiny.build_tiny),
    Family(specs=resnet.SPECS, options=LambdaOptions, build=build_lambda_network),
    Family(specs=baselines.SE_SPECS, options=NetworkOptions, build=baselines.build_convolutional),
    Family(specs=baselines.LINEAR_SPECS, options=AttentionOptions, build=baselines.build_linear),
    Family(specs=baselines.RELATIVE_SPECS, options=AttentionOptions, build=baselines.build_relative),
    Family(specs=baselines.AUGMENTED_SPECS, options=AugmentedOptions, build=baselines.build_augmented),
    Family(specs=baselines.AXIAL_SPECS, options=AttentionOptions, build=baselines.build_axial),
    Family(specs=baselines.LOCAL_SPECS, options=LocalOptions, build=baselines.build_local),
    Family(specs=probe.PATCH_SPECS, options=NetworkOptions, build=probe.build_patches),
    Family(specs=probe.CONVOLUTION_SPECS, options=NetworkOptions, build=baselines.build_convolutional),
    Family(specs=probe.DILATED_SPECS, options=NetworkOptions, build=probe.build_dilated),
    Family(specs=probe.SE_SPECS, options=NetworkOptions, build=baselines.build_convolutional),
    Family(specs=probe.LINEAR_SPECS, options=probe.ProbeAttentionOptions, build=baselines.build_linear),
    Family(specs=probe.RELATIVE_SPECS, options=probe.ProbeAttentionOptions, build=baselines.build_relative),
    Family(specs=probe.AXIAL_SPECS, options=probe.ProbeAttentionOptions, build=baselines.build_axial),
    Family(specs=probe.LOCAL_SPECS, options=probe.ProbeLocalOptions, build=baselines.build_local),
    Family(specs=probe.LAMBDA_SPECS, options=LambdaOptions, build=build_lambda_network),
    Family(specs=lambda_resnet.SPECS, options=FamilyOptions, build=build_lambda_resnet),
)


def create_model(name: str, *, num_classes: int = 1000, in_chans: int = 3, **options: Any) -> ResNet:
    """The network `name` with freshly drawn weights, in training mode.

    Args:
        name: one of `list_models()`.
        num_classes: outputs of the classifier; 0: no classifier, `forward` returns pooled features.
        in_chans: channels of the images.
        options: fields of `NetworkOptions`; for networks with lambda layers of `LambdaOptions` (`FamilyOptions` for
            lambda_resnet50 … lambda_resnet420), with attention of `AttentionOptions`, `LocalOptions` or
            `AugmentedOptions`.

    Raises:
        ValueError: for an unknown name or option, naming the nearest, and for values that do not fit together.
    """
    family = model_family(name)
    known = [field.name for field in fields(family.options)]
    for option in options:
        if option not in known:
            place = f"{family.options.__module__}.{family.options.__name__}"
            raise ValueError(f"{name} has no option {option!r}: {advice(option, known, kind='options', place=place)}")
    check_number("num_classes", num_classes, 0)
    check_number("in_chans", in_chans, 1)
    return family.build(family.specs[name], family.options(**options), num_classes=num_classes, in_chans=in_chans)


def list_models() -> list[str]:
    """Every name that `create_model` knows: the demo network, the study and its baselines, the family by depth."""
    return [name for family in FAMILIES for name in family.specs]


def model_family(name: str) -> Family:
    """The family of `name`; ValueError with the nearest name where there is none."""
    for family in FAMILIES:
        if name in family.specs:
            return family
    where = advice(name, list_models(), kind="models", place="list_models(), or the command lambdanets models,")
    raise ValueError(f"unknown model {name!r}: {where}")
