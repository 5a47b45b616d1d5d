"""The check that the data's configs have in common: numbers within their ranges."""


def refuse_outside(config: object, place: str, **ranges: tuple[float, float]) -> None:
    """Refuse the first field that is not within its range, ends included.

    Args:
        config: has the fields.
        place: what a field's name begins with in the message: "data".
        ranges: least and greatest value of each field.

    Raises:
        ValueError: says what was got and what was wanted.
    """
    for name, (low, high) in ranges.items():
        if not low <= getattr(config, name) <= high:
            raise ValueError(f"{place}.{name}: got {getattr(config, name)}, wanted {low} to {high}.")
