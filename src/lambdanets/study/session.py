"""A study from its plans to its pages: part by part, each page written as soon as its part is found out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lambdanets.study.answers import Drawer, Kept
from lambdanets.study.part import Part, StudyOptions
from lambdanets.study.running import Plan, Watcher, find_out
from lambdanets.study.shown import Shown
from lambdanets.study.writing import Finished, write_part, write_study


def finish(
    plans: Sequence[Plan], options: StudyOptions, watcher: Watcher, *, with_study: bool
) -> Iterator[tuple[Finished, Path]]:
    """Every part with its page, as it gets finished; `with_study`: the page of all parts grows meanwhile.

    Raises:
        NotWrittenError: an answer or a page cannot be written.
        ValueError: a kept answer is none of its piece's.
        Exception: what a piece raised; all answers so far are kept.
    """
    finished: list[Finished] = []
    for place, wanted in enumerate(plans):
        kept = find_out(wanted, options, watcher)
        shown = _shown(wanted.part, options, kept)
        finished.append(Finished(part=wanted.part, shown=shown, kept=kept))
        page = write_part(finished[-1], options)
        if with_study:
            page = write_study(finished, options, missing=[later.part for later in plans[place + 1 :]])
        yield finished[-1], page


def _shown(part: Part, options: StudyOptions, kept: Mapping[str, Kept]) -> Shown:
    """What the part makes of its answers; ValueError where one of them is not as its piece answers."""
    try:
        return part.shown(options, {key: found.answer for key, found in kept.items()})
    except (KeyError, TypeError, AttributeError) as error:
        place = Drawer.of(part, options).path
        raise ValueError(
            f"{place}: an answer there is not one of {part.name} ({type(error).__name__}: {error}); it was changed, or "
            "is of another state of this package: remove the folder, and it is found out again."
        ) from error
