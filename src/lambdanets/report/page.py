"""Pages of one file each: pictures inside, no script, nothing fetched. Text is escaped by the template engine."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from lambdanets import __version__

HOME = "lambdanets.report"
"""The room whose pages all others look like."""


def render(template: str, *, room: str = HOME, **content: Any) -> str:
    """The HTML of a template in the `templates/` of a package of ours, which may extend those of this one."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((room, HOME))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=__version__, percent=percent, **content)


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 for readers: 0.9176 is 91.8 %, never broken between lines."""
    return f"{share * 100:.{digits}f}\N{NO-BREAK SPACE}%"


def points(share: float) -> str:
    """A difference of two shares for readers."""
    return f"{share * 100:.1f} percentage points"


def shorten(name: str, letters: int) -> str:
    """The name, cut to so many letters if it is longer."""
    return name if len(name) <= letters else name[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"
