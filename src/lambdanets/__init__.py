"""LambdaNetworks for PyTorch: exact, fast lambda layers and the LambdaResNet family (Bello, ICLR 2021)."""

__version__ = "0.1.0"
