"""`lambdanets doctor`: whether this machine has what is needed, and whether the layer computes what it should here."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED

if TYPE_CHECKING:
    from lambdanets.cli.diagnosis import Finding


def doctor(*, check: Annotated[bool, Parameter(negative="--no-check")] = True) -> int:
    """Look at versions, threads and GPU, then check every contraction order against the reference, in 10 seconds.

    Example: lambdanets doctor

    Ends with 0 if all is well and 1 if something needs to be done, which it names. Its output belongs in a bug report.

    Args:
        check: Compute. Without it only versions and the machine are looked at.
    """
    from lambdanets.cli.diagnosis import diagnose

    findings = diagnose()
    for finding in findings:
        print(_line(finding), flush=True)
    torch_is_there = all(finding.well for finding in findings if finding.name == "torch")
    wrong = [finding for finding in findings if not finding.well]
    if check and torch_is_there:
        from lambdanets.cli.selfcheck import check_orders

        print("\nevery order against the reference, float64, output and gradients", flush=True)
        for finding in check_orders():
            print(_line(finding), flush=True)
            wrong += [] if finding.well else [finding]
    print("\nAll is well." if not wrong else "\nTo do:")
    for finding in wrong:
        print(f"- {finding.name}: {finding.remedy}")
    return EXIT_FAILED if wrong else 0


def _line(finding: "Finding") -> str:
    return f"{'ok' if finding.well else 'NO':<3} {finding.name:<14} {finding.value}"
