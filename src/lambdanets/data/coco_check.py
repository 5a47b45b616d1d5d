"""What looking at a picture tells of a data set in COCO's form, beside what its annotation files do."""

from collections.abc import Iterator

from lambdanets.data.annotation_faults import FIXES
from lambdanets.data.coco_folder import CocoSource
from lambdanets.data.finding import Finding
from lambdanets.data.look import Look


def judge_size(source: CocoSource, index: int, look: Look) -> Iterator[Finding]:
    """A finding if a picture that can be read is of another size than its objects were drawn for."""
    if look.error:
        return
    upright = (look.height, look.width) if look.turned else (look.width, look.height)
    if fault := source.size_fault(index, *upright):
        yield Finding(kind=fault.kind, where=source.name(index), what=fault.what, fix=FIXES[fault.kind], broad=False)
