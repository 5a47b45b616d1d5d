"""LambdaNetworks for PyTorch: exact, fast lambda layers and the LambdaResNet family (Bello, ICLR 2021)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdanets.detection import create_detector as create_detector
    from lambdanets.finished import load_run as load_run
    from lambdanets.layers import LambdaLayer as LambdaLayer
    from lambdanets.layers import PositionTable as PositionTable
    from lambdanets.models import create_model as create_model
    from lambdanets.models import list_models as list_models
    from lambdanets.ops import apply_lambdas as apply_lambdas
    from lambdanets.ops import explain as explain

__version__ = "0.1.0"

__all__ = [
    "LambdaLayer",
    "PositionTable",
    "apply_lambdas",
    "create_detector",
    "create_model",
    "explain",
    "list_models",
    "load_run",
]

# Loaded on first use: `lambdanets --help` must not wait for torch.
_HOMES = {
    "LambdaLayer": "lambdanets.layers",
    "PositionTable": "lambdanets.layers",
    "create_detector": "lambdanets.detection",
    "create_model": "lambdanets.models",
    "list_models": "lambdanets.models",
    "apply_lambdas": "lambdanets.ops",
    "explain": "lambdanets.ops",
    "load_run": "lambdanets.finished",
}


def __getattr__(name: str) -> object:
    """The public names, from the rooms that own them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lambdanets' has no attribute {name!r}; its names are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, for tab completion."""
    return sorted([*globals(), *__all__])
