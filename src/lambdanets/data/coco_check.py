"""What looking at a picture tells of a data set in COCO's form, beside what its annotation files do."""

from collections.abc import Iterator

from lambdanets.data.annotation_faults import FIXES
from lambdanets.data.coco_folder import CocoSource
from lambdanets.data.finding import Finding
from lambdanets.data.images import ImageError
from lambdanets.data.look import Look


def judge_size(source: CocoSource, index: int, look: Look) -> Iterator[Finding]:
    """A finding if a picture that can be read is of another size than its objects were drawn for."""
    if look.error:
        return
    name, fix = source.name(index), FIXES["other-size"]
    try:
        source.check_size(index, *((look.height, look.width) if look.turned else (look.width, look.height)))
    except ImageError as error:
        what = str(error).removeprefix(f"{name} ").removesuffix(f": {fix}.")
        yield Finding(kind="other-size", where=name, what=what, fix=fix, broad=False)
