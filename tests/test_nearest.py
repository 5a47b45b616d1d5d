import pytest

from lambdanets.nearest import nearest_name

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
        ("impl", None),
    ],
)
def test_the_name_that_was_meant(word: str, meant: str | None) -> None:
    assert nearest_name(word, FIELDS) == meant


def test_one_name_is_always_nearest_where_nothing_need_be_alike() -> None:
    assert nearest_name("impl", ["digits"], alike=0) == "digits"
    assert nearest_name("impl", [], alike=0) is None
