"""`lambdanets explain`: which contraction orders can compute a problem, at what cost, and which one "auto" takes."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.question import Question, problem_of


def explain(
    question: Question | None = None,
    *,
    profile: Path | None = None,
    measure: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Show every contraction order for a lambda layer: able or why not, its cost, and which one is taken.

    Example: lambdanets explain --map 64x64 --scope 23 --batch 8

    Args:
        question: The sizes of the layer.
        profile: Predict and choose by this file of `lambdanets tune`.
        measure: Run the orders that are worth it, on one thread; show times and memory beside the predictions.
    """
    with mistakes_reported():
        problem = problem_of(question or Question())
        import torch

        from lambdanets.ops.explanation import explain_problem
        from lambdanets.ops.profile import load_profile
        from lambdanets.ops.tuning import measure_orders

        torch.set_num_threads(1)
        if profile and load_profile(str(profile)).device != problem.device:
            raise ValueError(f"--profile: '{profile}' is of a GPU, and what is explained here is computed on the CPU.")
        runnable = problem.scope and problem.pair_mask is None
        measured = measure_orders(problem, memory=True) if measure and runnable else {}
        print(explain_problem(problem, f"auto:{profile}" if profile else "auto", measured))
