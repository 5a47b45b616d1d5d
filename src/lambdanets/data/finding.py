"""What is wrong, or odd, in a data set: which file, what about it, what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from lambdanets.printable import printable


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found. Data cannot be trained on while a finding that is no note stands."""

    kind: str
    """One word for programs: broken, empty-class, leak, …"""
    where: str
    """The file: a path in the data set, or shard.tar:member."""
    what: str
    """What is wrong with it, to be read behind the name."""
    fix: str
    """What to do about it."""
    note: bool = False
    """Whether nothing has to be done."""
    broad: bool = True
    """Whether it is about the data set, and so stands in the way of opening it; not about a single picture."""

    def __str__(self) -> str:
        """One sentence, on one line whatever the file is called."""
        return printable(f"{self.where} {self.what}: {self.fix}.")

    def as_json(self) -> dict[str, object]:
        """The fields that programs want."""
        return {name: value for name, value in asdict(self).items() if name != "broad"}


class DataError(ValueError):
    """A data set that cannot be opened, and why: got, wanted, the way out."""

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def refuse(findings: Iterable[Finding]) -> None:
    """Raise a DataError about the first finding that stands in the way of opening the data set, if there is one."""
    grave = [finding for finding in findings if finding.broad and not finding.note]
    if grave:
        more = f" ({len(grave) - 1} more: `lambdanets data check` lists them.)" if len(grave) > 1 else ""
        raise DataError(f"{grave[0]}{more}")
