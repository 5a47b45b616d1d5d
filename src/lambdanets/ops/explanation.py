"""What the choice sees of a problem, as a printable table: every order, able or why not, cost, which one is taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lambdanets.ops.choice import Described, choose, orders_of, profile_of, takes_reference, why_not
from lambdanets.ops.cost import is_measured
from lambdanets.ops.impl import reference
from lambdanets.ops.problem import Problem
from lambdanets.ops.profile import BUILT_IN, Profile

CONTENT = "content"
"""What `chosen` says where there is no position part, and so no order."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one order really took."""

    forward: float
    """Seconds."""
    backward: float
    """Seconds."""
    extra_bytes: int | None = None
    """Peak memory beyond inputs and outputs; None: not measured."""


@dataclass(frozen=True)
class Explanation:
    """Every order for one problem, its predicted cost, and which one "auto" takes. Printable."""

    problem: Problem
    chosen: str
    """The order of the forward pass."""
    chosen_backward: str
    """The order of the backward pass."""
    profile: Profile = BUILT_IN
    """Whose times are predicted."""
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    """By order; shown beside the predictions."""

    def __str__(self) -> str:
        """A table in plain text."""
        p = self.problem
        sizes = " ".join(f"{letter}={getattr(p, letter)}" for letter in "bnmhkuv")
        window = "none" if p.scope is None else "×".join(map(str, p.scope))
        lines = [
            f"map {'×'.join(map(str, p.query_size))}, window {window}, {sizes}, "
            f"{str(p.dtype).removeprefix('torch.')} on {p.device}",
            f"content part: {_content(p)}",
            f"{'':<13}{'':<9}{'forward':^17} {'backward':^17} {'extra':>8}",
            f"{'order':<13}{'auto':<9}{'GMAC':>8} {'ms':>8} {'GMAC':>8} {'ms':>8} {'MiB':>8}"
            f"{self._measured_head()}  able?",
        ]
        described: tuple[Described, ...] = (reference, *orders_of(self.profile))
        lines += [self._row(order) for order in described]
        if self.chosen == CONTENT:
            lines.append("auto computes the content part alone: without a table no order is needed")
        lines.append(f"predicted for one {'core' if p.device == 'cpu' else 'GPU'}, profile: {self.profile.machine}")
        if not is_measured(p) and not self.profile.factors:
            lines.append("no times of a GPU are known: triton's are assumed, those of the others are a CPU core's")
        return "\n".join(lines)

    def _measured_head(self) -> str:
        return f"  {'measured ms':>17} {'MiB':>8}" if self.measured else ""

    def _row(self, order: Described) -> str:
        reason = None if order is reference else why_not(order, self.problem)
        marks = [mark for mark, name in (("fwd", self.chosen), ("bwd", self.chosen_backward)) if name == order.NAME]
        start = f"{order.NAME:<13}{'+'.join(marks):<9}"
        if reason is not None:
            blank = "–".rjust(8)
            return f"{start}{' '.join([blank] * 5)}{' ' * len(self._measured_head())}  no: {reason}"
        costs = [order.cost(self.problem, backward) for backward in (False, True)]
        passes = " ".join(
            f"{cost.multiply_adds / 1e9:>8.3f} {1e3 * self.profile.seconds(order.NAME, cost, backward):>8.1f}"
            for backward, cost in zip((False, True), costs, strict=True)
        )
        extra = max(cost.extra_bytes for cost in costs) / 2**20
        return f"{start}{passes} {extra:>8.1f}{self._measured(order.NAME)}  yes"

    def _measured(self, name: str) -> str:
        if not self.measured:
            return ""
        if name not in self.measured:
            return f"  {'–':>17} {'–':>8}"
        took = self.measured[name]
        extra = "–" if took.extra_bytes is None else f"{took.extra_bytes / 2**20:.1f}"
        return f"  {1e3 * took.forward:>8.1f} {1e3 * took.backward:>8.1f} {extra:>8}"


def explain_problem(
    problem: Problem, impl: str = "auto", measured: Mapping[str, Measurement] | None = None
) -> Explanation:
    """The explanation of one problem: what `choose` and `takes_reference` say, nothing else.

    Raises:
        ValueError: `impl` is neither "auto" nor "auto:FILE" with a profile.
    """
    profile = profile_of(impl)
    if profile is None:
        raise ValueError(f"got impl={impl!r}; only 'auto' and 'auto:FILE' choose, so only they can be explained")
    profile = profile.on(problem.device)
    if problem.scope is None or takes_reference(problem):
        name = reference.NAME if takes_reference(problem) else CONTENT
        return Explanation(problem, name, name, profile, measured or {})
    orders = [choose(problem, backward, profile).NAME for backward in (False, True)]
    return Explanation(problem, orders[0], orders[1], profile, measured or {})


def _content(p: Problem) -> str:
    """How the content part is computed."""
    if not p.content:
        return "none"
    if takes_reference(p):
        return "by the reference, pair by pair"
    if p.pair_mask == "causal":
        return "by blocks of positions, linear in n, shared by every order"
    return "b·m·k·u·v + b·n·h·k·v multiply-adds, shared by every order"
