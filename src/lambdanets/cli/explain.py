"""`lambdanets explain`: which contraction orders can compute a problem, at what cost, and which one "auto" takes."""

from lambdanets.cli.question import Question, problem_of
from lambdanets.cli.report import mistakes_reported


def explain(question: Question | None = None) -> None:
    """Show every contraction order for a lambda layer: able or why not, its cost, and which one is taken.

    Example: lambdanets explain --map 64x64 --scope 23 --batch 8
    """
    from lambdanets.ops import explain as explain_problem

    with mistakes_reported():
        print(explain_problem(problem_of(question or Question())))
