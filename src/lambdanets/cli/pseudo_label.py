"""`lambdanets pseudo-label`: what a finished run says of pictures that nobody has labelled, for a student to learn."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED, mistakes_reported
from lambdanets.cli.question import WholeNumber


def pseudo_label(
    run: Path,
    /,
    *,
    out: Path,
    data: Path | None = None,
    soft: Annotated[bool, Parameter(negative=())] = False,
    min_confidence: float = 0.5,
    balance: WholeNumber | None = None,
    views: WholeNumber = 0,
    batch_size: WholeNumber = 64,
    workers: WholeNumber | None = None,
    device: str | None = None,
) -> int:
    """Let a finished run label pictures; a student then learns from them too, beside pictures with true labels.

    Example: lambdanets pseudo-label runs/teacher --data photos --out labels.jsonl --min-confidence 0.8

    The student: lambdanets train pseudo_label --data LABELLED --set data.pseudo.labels=labels.jsonl

    What the run says is kept in OUT.journal, block by block. The same command goes on after a stop; with other filters
    it chooses anew from the journal, without labelling again. A class that a picture has already is not looked at.

    Args:
        run: Folder of a finished run, the teacher.
        out: The file of labels to write.
        data: The pictures: a folder, tar shards or a Hugging Face dataset on disk. By default, for a run on the
            digits with data.labelled, the digits whose labels it did not see.
        soft: Label with the probabilities of the classes instead of the likeliest class.
        min_confidence: Leave out pictures whose likeliest class is less probable, 0 to 1.
        balance: Keep so many pictures of a class at most, those that are surest.
        views: Average what the run says of so many variations of each picture, such as it was trained on. By default
            the picture is seen once, as it is.
        batch_size: Pictures that the network sees at once.
        workers: Processes that read pictures. By default as many as the run was trained with.
        device: Where the network runs: cpu or cuda; by default where it was trained.
    """
    from lambdanets.cli.labelling import describe_labels, journal_of, label, what_is_kept_told
    from lambdanets.finished import load_run
    from lambdanets.training.labelling import Filters, write_chosen

    with mistakes_reported():
        filters = Filters(soft=soft, min_confidence=min_confidence, balance=balance)
        if not 1 <= batch_size <= 65536:
            raise ValueError(f"--batch-size: got {batch_size}, wanted 1 to 65536 pictures.")
        if not 0 <= views <= 256:
            raise ValueError(f"--views: got {views}, wanted 0 to 256.")
        if workers is not None and not 0 <= workers <= 256:
            raise ValueError(f"--workers: got {workers}, wanted 0 to 256.")
        journal = journal_of(out)
        teacher = load_run(run, device)
        with what_is_kept_told(journal):
            label(teacher, data, journal, views=views, batch_size=batch_size, workers=workers)
        labels = write_chosen(journal, out, filters)
    describe_labels(labels, teacher.class_names, out)
    return 0 if labels.kept else EXIT_FAILED
