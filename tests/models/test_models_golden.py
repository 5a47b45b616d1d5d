"""Names and shapes in state dicts: files saved today must load tomorrow.

After a change that is meant to break them: `python tests/models/test_models_golden.py` writes the file anew.
"""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from lambdanets.models import create_model, list_models

GOLDEN = Path(__file__).parents[1] / "golden" / "models_state_dict.json"


def summary(name):
    """Number of tensors, a digest of all their names and shapes in order, and the tiny network's in full."""
    with torch.device("meta"):
        state = create_model(name).state_dict()
    lines = [f"{key} {list(value.shape)}" for key, value in state.items()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return {"tensors": len(lines), "digest": digest} | ({"all": lines} if name == "lambda_tiny" else {})


@pytest.mark.parametrize("name", list_models())
def test_state_dict_is_what_it_was(name):
    assert summary(name) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: summary(name) for name in list_models()}, indent=1) + "\n")
