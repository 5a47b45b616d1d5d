import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.override import field_names, from_json, to_json, with_assignments

CONFIG = find_recipe("digits")


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("seed=7", 7),
        ("optimizer.learning_rate=0.5", 0.5),
        ("optimizer.learning_rate=1", 1.0),
        ("optimizer.clip_norm=2.5", 2.5),
        ("optimizer.clip_norm=none", None),
        ("average.decay=null", None),
        ("optimizer.name=sgd", "sgd"),
        ("model=lambda_resnet50", "lambda_resnet50"),
        ("data.validation_forms=3", (3,)),
        ("data.validation_forms=0,5", (0, 5)),
        ("data.validation_forms=[0, 5]", (0, 5)),
        ("data.validation_forms=[]", ()),
        (" seed = 8 ", 8),
    ],
)
def test_a_field_takes_its_text(assignment: str, expected: object) -> None:
    changed: Any = with_assignments(CONFIG, [assignment])
    for name in assignment.split("=")[0].strip().split("."):
        changed = getattr(changed, name)
    assert changed == expected
    assert type(changed) is type(expected)


def test_later_assignments_win_and_the_recipe_is_untouched() -> None:
    assert with_assignments(CONFIG, ["seed=1", "seed=2"]).seed == 2
    assert CONFIG.seed == 0


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed", "got 'seed', wanted field=value"),
        ("sed=1", "unknown field 'sed': did you mean 'seed'"),
        ("lr=1", "did you mean 'optimizer.learning_rate'"),
        ("learning_rate=1", "did you mean 'optimizer.learning_rate'"),
        ("optimiser.weight_decay=1", "did you mean 'optimizer.weight_decay'"),
        ("data.rotate=1", "did you mean 'data.rotation'"),
        ("impl=dense", "unknown field 'impl': lambdanets recipes digits lists the fields"),
        ("data.=1", "unknown field 'data.': lambdanets recipes digits lists the fields"),
        ("seed.x=1", "unknown field 'seed.x'"),
        ("=1", "unknown field ''"),
        ("optimizer=adam", "'optimizer' is a group of fields: set one of them, e.g. optimizer.name="),
        ("seed=one", "seed: got 'one', wanted a whole number"),
        ("seed=1.5", "wanted a whole number"),
        ("seed=true", "wanted a whole number"),
        ("seed=-1", "seed: got -1, wanted 0 or above"),
        ("epochs=nan", "epochs: got 'nan', wanted a number"),
        ("epochs=NaN", "epochs: got nan, wanted a number above 0"),
        ("epochs=0", "epochs: got 0"),
        ("batch_size=1", "BatchNorm needs two"),
        ("optimizer.name=adam", "wanted one of adamw, sgd"),
        ("optimizer.clip_norm=no", "wanted a number or none"),
        ("optimizer.learning_rate=Infinity", "optimizer.learning_rate: got inf"),
        ("data.validation_forms=0,x", "wanted a list with each part a whole number, such as 0,5"),
        ("schedule.warmup_fraction=1", "schedule.warmup_fraction: got 1"),
        ("average.decay=1", "average.decay: got 1"),
        ("checkpoint.keep=1", "checkpoint.keep: got 1"),
        ("checkpoint.every_steps=0", "checkpoint.every_steps: got 0"),
        ("task.label_smoothing=1", "task.label_smoothing: got 1"),
        ("num_threads=0", "num_threads: got 0, wanted 1 to 1024"),
        ("num_threads=100000", "got 100000, wanted 1 to 1024"),
    ],
)
def test_a_mistake_is_refused_with_the_way_out(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_assignments(CONFIG, [assignment])


def test_model_options_take_any_name() -> None:
    changed = with_assignments(CONFIG, ["model_options.dim_key=8", "model_options.normalize_keys=l2"])
    assert changed.model_options == {"dim_key": 8, "normalize_keys": "l2"}


def test_json_brings_back_every_field() -> None:
    texts = ["seed=9", "data.validation_forms=1,2", "optimizer.clip_norm=1", "model_options.dim_key=8", "epochs=0.5"]
    changed = with_assignments(CONFIG, texts)
    stored = json.loads(json.dumps(to_json(changed)))
    assert from_json(CONFIG, stored) == changed


def test_json_with_a_field_of_another_version_is_refused() -> None:
    stored = to_json(CONFIG)
    stored["optimizer"]["warmup"] = 3
    with pytest.raises(ValueError, match=r"unknown field 'optimizer\.warmup'"):
        from_json(CONFIG, stored)


def test_every_field_can_be_set_to_what_it_is() -> None:
    for name in field_names(CONFIG):
        value: Any = CONFIG
        for part in name.split("."):
            value = getattr(value, part)
        text = json.dumps(value) if not isinstance(value, str) else value
        assert with_assignments(CONFIG, [f"{name}={text}"]) == CONFIG


def test_tuples_of_pairs_are_not_mistaken() -> None:
    @dataclass(frozen=True)
    class Small:
        on: bool = False
        names: tuple[str, ...] = ()
        inner: dict[str, int] = field(default_factory=dict)

    assert with_assignments(Small(), ["on=true", 'names=["a", "b"]', "inner.x=3"]) == Small(True, ("a", "b"), {"x": 3})
    with pytest.raises(ValueError, match="wanted true or false"):
        with_assignments(Small(), ["on=1"])


@dataclass(frozen=True, kw_only=True)
class Optional:
    name: str | None = None


@pytest.mark.parametrize(
    ("text", "name"), [("17", "17"), ("", ""), ("true", "true"), ("a=b", "a=b"), ("none", None), ("null", None)]
)
def test_text_that_may_be_missing_is_taken_as_it_stands(text: str, name: str | None) -> None:
    assert with_assignments(Optional(name="x"), [f"name={text}"]).name == name
    assert from_json(Optional(name="x"), to_json(Optional(name=name))).name == name
