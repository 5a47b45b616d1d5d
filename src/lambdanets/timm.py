"""The networks in timm: after `import lambdanets.timm`, `timm.create_model` knows every name of `list_models()`.

Nothing else of lambdanets imports timm. The protocol that timm expects of a model (`forward_features`,
`forward_intermediates`, `reset_classifier`, …) is the networks' own; this file only registers them. The options of
`lambdanets.create_model` pass through, but for `scope=None`, because timm drops every option that is None.
No weights are published yet: `pretrained=True` raises timm's own error.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from lambdanets.models.registry import create_model, list_models, model_family


def timm_config(name: str) -> dict[str, Any]:
    """What timm should know of the network `name`: its image size, first convolution and classifier."""
    spec = model_family(name).specs[name]
    size, reduction = spec.image_size, 2 ** (len(spec.stages) + 1)
    return {
        "input_size": (3, size, size),
        "min_input_size": (3, 32, 32),
        "pool_size": (-(-size // reduction), -(-size // reduction)),
        "first_conv": "stem.0",
        "classifier": "classifier",
        "license": "apache-2.0",
        "paper_name": "LambdaNetworks: Modeling Long-Range Interactions Without Attention",
        "paper_ids": "arXiv:2102.08602",
    }


def entry_point(name: str) -> Callable[..., nn.Module]:
    """The function that `timm.create_model(name, …)` calls."""

    def create(
        pretrained: bool = False,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> nn.Module:
        """The network, as timm asks for it."""

        def build(**network_options: Any) -> nn.Module:
            """The network on its device and in its dtype."""
            with nullcontext() if device is None else torch.device(device):
                return create_model(name, **network_options).to(dtype=dtype)

        return build_model_with_cfg(build, name, pretrained, feature_cfg={"feature_cls": "getter"}, **options)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"The network {name!r}; options as for `lambdanets.create_model`."
    return create


default_cfgs = generate_default_cfgs({name: timm_config(name) for name in list_models()})

for _name in list_models():
    globals()[_name] = register_model(entry_point(_name))  # timm lists the name in this module's __all__
