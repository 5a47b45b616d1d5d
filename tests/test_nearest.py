import pytest

from lambdanets.nearest import FEW, advice, nearest_name

FIELDS = ["seed", "optimizer.name", "optimizer.learning_rate", "data.rotation"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("sed", "seed"),
        ("learning_rate", "optimizer.learning_rate"),
        ("lr", "optimizer.learning_rate"),
        ("optimiser.name", "optimizer.name"),
        ("data.rotate", "data.rotation"),
        ("", None),
        ("data.", None),
        ("impl", None),
    ],
)
def test_the_name_that_was_meant(word: str, meant: str | None) -> None:
    assert nearest_name(word, FIELDS) == meant


def test_one_name_is_always_nearest_where_nothing_need_be_alike() -> None:
    assert nearest_name("impl", ["digits"], alike=0) == "digits"
    assert nearest_name("impl", [], alike=0) is None


def test_advice_is_short_however_many_names_there_are() -> None:
    few, many = [f"a{number}" for number in range(FEW)], [f"a{number}" for number in range(1000)]
    told = {"kind": "models", "place": "lambdanets models"}
    assert advice("a", ["aa", "b"], **told) == "did you mean 'aa'?"
    assert advice("xyz", few, **told) == "the models are a0, a1, a2, a3, a4, a5."
    assert advice("xyz", many, **told) == "lambdanets models lists the models."
