"""What one query sees: the weight of every context position in its output, content and position part, head by head.

    python examples/look_inside.py [RUN]

RUN is a folder of `lambdanets train digits`; without it the weights are untrained. A lambda layer keeps no attention
map, but its output is linear in the values, so the weights can be had: y_n = Σ_m q_n·(K̄_m + R[m − n]) V_m.
"""

import sys

import torch

from lambdanets import create_model, load_run
from lambdanets.data.digits import DigitsConfig
from lambdanets.layers import interactions, lambda_inputs


def draw(weights: torch.Tensor, queried: tuple[int, int]) -> list[str]:
    """A map as text: shades from weak to strong, upper case O where the query stands."""
    strength = weights.abs() / weights.abs().max()
    rows = [["·░▒▓█"[min(4, int(5 * s))] * 2 for s in row] for row in strength.tolist()]
    rows[queried[0]][queried[1]] = "O" + rows[queried[0]][queried[1]][0]
    return ["".join(row) for row in rows]


@torch.no_grad()
def main() -> None:
    model, config = create_model("lambda_tiny", num_classes=10, in_chans=1).eval(), DigitsConfig()
    if len(sys.argv) > 1:
        run = load_run(sys.argv[1])
        model, config = run.model, run.config.data
    batch = config.load().train.plain(torch.arange(1).numpy())
    name, x = next(iter(lambda_inputs(model, batch.images).items()))  # the first of its lambda layers
    height, width = x.shape[2:]
    row, column = height // 2, width // 2
    print(f"a {batch.labels.item()}, seen from row {row}, column {column} of a map of {height} × {width}; by head:")
    inside = interactions(model.get_submodule(name), x, queries=[row * width + column])
    for name, part in (("content", inside.content), ("position", inside.position)):
        heads = [draw(map.reshape(height, width), (row, column)) for map in part[0, :, 0, :, 0]]
        print(name, *("   ".join(line) for line in zip(*heads, strict=True)), sep="\n")


if __name__ == "__main__":
    main()
