"""LambdaNetworks for PyTorch: exact, fast lambda layers and the LambdaResNet family (Bello, ICLR 2021)."""

from lambdanets.ops import apply_lambdas as apply_lambdas
from lambdanets.ops import explain as explain

__version__ = "0.1.0"
