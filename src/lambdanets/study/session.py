"""A study from its plans to its pages: part by part, each page written as soon as its part is found out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lambdanets.study.part import StudyOptions
from lambdanets.study.running import Plan, Watcher, find_out
from lambdanets.study.writing import Finished, write_part, write_study


def finish(
    plans: Sequence[Plan], options: StudyOptions, watcher: Watcher, *, with_study: bool
) -> Iterator[tuple[Finished, Path]]:
    """Every part with its page, as it gets finished; `with_study`: the page of all parts grows meanwhile.

    Raises:
        NotWrittenError: an answer or a page cannot be written.
        Exception: what a piece raised; all answers so far are kept.
    """
    finished: list[Finished] = []
    for place, wanted in enumerate(plans):
        kept = find_out(wanted, options, watcher)
        shown = wanted.part.shown(options, {key: found.answer for key, found in kept.items()})
        finished.append(Finished(part=wanted.part, shown=shown, kept=kept))
        page = write_part(finished[-1], options)
        if with_study:
            page = write_study(finished, options, missing=[later.part for later in plans[place + 1 :]])
        yield finished[-1], page
