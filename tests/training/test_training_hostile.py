"""R15: a config.json of a stranger is words: none of them is run, imported or followed."""

import json
from pathlib import Path

import pytest

from lambdanets.finished import load_run
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.override import to_json

CODE = [
    "__import__('os').mkdir('canary')",
    "os:mkdir",
    "!!python/object/apply:os.mkdir [canary]",
    "${oc.env:HOME}",
    "../../evil.py",
    "canary_module",
    {"__class__": "os.mkdir", "args": ["canary"]},
    {"_target_": "os.mkdir", "path": "canary"},
]


@pytest.mark.parametrize("code", CODE, ids=str)
@pytest.mark.parametrize("field", ["recipe", "model", "task", "data", "optimizer", "device", "model_options", "seed"])
def test_code_in_a_config_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, code: object
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("canary_module.py").write_text("import os; os.mkdir('canary')")
    stored = json.loads(json.dumps(to_json(find_recipe("digits"))))
    stored[field] = code
    Path("run").mkdir()
    Path("run", "config.json").write_text(json.dumps(stored))
    Path("run", "result.json").write_text('{"recipe": "digits", "parameters": 1, "train_seconds": 1}')
    with pytest.raises(ValueError):  # noqa: PT011 - which of the fields it names differs
        load_run("run")
    assert not Path("canary").exists()
