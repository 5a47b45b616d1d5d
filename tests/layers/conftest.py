"""The layer that these tests build, small enough to be checked in all its variants."""

import pytest

from lambdanets.layers import LambdaLayer


@pytest.fixture
def layer():
    """(dim, **options) → a layer of narrow keys and a window of 3."""

    def build(dim=8, **options):
        return LambdaLayer(dim, **{"dim_key": 3, "num_heads": 2, "scope": 3, **options})

    return build
