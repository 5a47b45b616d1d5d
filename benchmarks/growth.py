"""How time and memory grow from a 64² to a 128² map seen as a whole: n grows 4 ×, n² 16 ×. python -m benchmarks.growth.

Our layer alone, d = 64, b = 1: no public layer runs the larger map in 30 GB.
"""

import argparse
import sys
from collections.abc import Callable, Iterable

import torch

from benchmarks.cases import Case
from benchmarks.harness import environment, require_green, write_report
from benchmarks.peers import ours
from lambdanets.study.measuring import in_fresh_process, interleaved, peak_bytes, training_call

SIDES = (64, 128)


def call(side: int) -> Callable[[], object]:
    """Forward + backward on a map of this side."""
    case = Case(size=(side, side), r=None, d=64, b=1)
    return training_call(ours(case), torch.randn(case.b, case.d, *case.size))


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure, print, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no tests first, no report")
    parser.add_argument("--peak", type=int, metavar="SIDE", help="print one peak in MiB and stop")
    options = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.peak:
        print(peak_bytes(call(options.peak)) / 2**20)
        return
    if not options.quick:
        require_green("tests/ops", "tests/layers")
    seconds = interleaved({str(side): call(side) for side in SIDES}, seconds=10)
    peaks = {side: float(in_fresh_process("benchmarks.growth", "--peak", str(side)) or "nan") for side in SIDES}
    small, large = SIDES
    lines = ["# Growth of the global layer with its map", "", environment(), ""]
    lines += ["| map | forward + backward, ms | peak memory, MiB |", "|---|--:|--:|"]
    lines += [f"| {side}² | {seconds[str(side)] * 1e3:.1f} | {peaks[side]:.1f} |" for side in SIDES]
    ratios = seconds[str(large)] / seconds[str(small)], peaks[large] / peaks[small]
    lines += ["", "Four times the positions: {:.2f} × the time, {:.2f} × the memory.".format(*ratios), ""]
    print("\n".join(lines))
    if not options.quick:
        print(f"wrote {write_report('growth', chr(10).join(lines))}")


if __name__ == "__main__":
    main()
