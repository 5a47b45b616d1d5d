"""What a trained lambda layer sees: the attention map that it never forms, had afterwards, and proved to be exact.

y_n = Σ_m A_nm V_m with A_nm = q_n · (K̄_m + R[m − n]), of each head: `lambdanets.layers.interactions`. The weights are
drawn over an image, content and position apart, and held against the output of every order of contraction.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from lambdanets.data.digits import DigitsConfig
from lambdanets.finished import FinishedRun, load_run
from lambdanets.report.picture import as_picture, as_seen, by_sign, cell_of
from lambdanets.study.drawing import as_png, drawing
from lambdanets.study.looks import look, telling_places, unpacked
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.shown import Column, Figure, Shown, Table
from lambdanets.study.trained import trained
from lambdanets.training.folder import RunFolder

EXACT = 1e-5
"""Largest difference between Σ A V and a layer's output, over the largest output, that rounding may make."""
MOST_HEADS = 4
"""Heads that are drawn."""


@dataclass(frozen=True)
class Interactions:
    """The part `interactions`."""

    name: str = "interactions"
    title: str = "What each query sees"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """One look into one run at one image; ValueError if there is no such run."""
        epochs = 6 if options.quick else 25
        if options.run is None:
            key, seconds = f"digits-{epochs}-epochs", 10 + 3.5 * epochs
        else:
            weights = RunFolder(options.run).weights
            if not weights.exists():
                raise ValueError(f"--run: {options.run} is not the folder of a finished run: it has no {weights.name}.")
            key, seconds = f"run-{_digest(weights)}", 20.0
        if options.image is not None:
            key += f"-image-{_digest(options.image)}"
        return [Piece(key=key, seconds=seconds, work=partial(_look_into, options, epochs))]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """How exact the weights are, how each layer sees, and pictures of some of them."""
        (answer,) = answers.values()
        return Shown(
            title=self.title,
            summary=[_QUESTION, f"Looked into: {answer['run']}; {answer['image']}.", _finding(answer)],
            tables=[_order_table(answer), _layer_table(answer)],
            figures=_figures(answer),
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _look_into(options: StudyOptions, epochs: int) -> Answer:
    threads = torch.get_num_threads()
    try:
        path = options.run or trained(options.folder / f"digits-{epochs}-epochs", "digits", [f"epochs={epochs}"])
        run = load_run(path, device="cpu")
        if options.image is None:
            image, named = _judged_image(run)
        else:
            image, named = run.inputs([run.read(options.image)]), f"the picture {options.image.name}"
        with torch.no_grad():
            said = run.class_names[int(run.logits(image).argmax())]
        places = telling_places(image)
        found = look(run.model, image, places)
    finally:
        torch.set_num_threads(threads)
    about = run.config.model if options.run else f"{run.config.model}, trained here on the digits for {epochs} epochs"
    return found | {
        "run": f"{about}, test accuracy {_accuracy(run)}",
        "image": f"{named}, which it takes for {said!r}",
        "places": places,
        "picture": _picture(run, image),
    }


def _judged_image(run: FinishedRun) -> tuple[torch.Tensor, str]:
    """The first image that the run was judged on."""
    try:
        batch = run.task.judged.plain(np.array([0]))
    except ValueError as error:
        raise ValueError(f"--run: {error} Or name a picture: --image FILE.") from error
    return run.task.as_input(batch.images), f"image 0 of its {run.task.split} split"


def _accuracy(run: FinishedRun) -> str:
    found = next((value for name, value in run.result.items() if name.endswith("_accuracy")), None)
    return f"{found:.1%}" if isinstance(found, float) else "unknown"


def _picture(run: FinishedRun, image: torch.Tensor) -> str:
    (seen,) = as_seen(image.cpu(), run.config.data.preprocess)
    stream = BytesIO()
    as_picture(seen, is_ink=isinstance(run.config.data, DigitsConfig)).convert("RGB").save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


_QUESTION = (
    "What does a lambda layer look at? It forms no attention map, but its output is linear in the values, so the "
    "weight that each query position gives to every context position can be had afterwards, exactly: A_nm = q_n · "
    "(K̄_m + R[m − n]). The first term weighs what is there (content), the second where it is (position). Weights may "
    "be negative and do not sum to one."
)


def _finding(answer: Answer) -> str:
    orders = answer["orders"]
    relative = max(one["relative"] for one in orders.values())
    double = max(one["double"] for one in orders.values())
    verdict = "reproduce" if relative <= EXACT and double <= EXACT else "DO NOT reproduce"
    return (
        f"The weights {verdict} what the layers give: Σ_m A_nm V_m against the output of each of "
        f"{len(answer['layers'])} lambda layers, in {len(orders)} orders of contraction, differs by at most "
        f"{relative:.1e} of the layer's largest output in single precision, and by at most {double:.1e} in double "
        "precision."
    )


def _order_table(answer: Answer) -> Table:
    count = len(answer["layers"])
    return Table(
        name="interactions",
        title="Σ_m A_nm V_m against the layers' own outputs",
        columns=(
            Column(name="order of contraction", origin="label"),
            Column(name="layers that it can run", origin="measured"),
            Column(name="largest difference, fp32", origin="measured"),
            Column(name="over the layer's largest output, fp32", origin="measured"),
            Column(name="largest difference, fp64", origin="measured"),
        ),
        rows=tuple(
            (
                name,
                f"{one['layers']} of {count}",
                f"{one['absolute']:.1e}",
                f"{one['relative']:.1e}",
                f"{one['double']:.1e}",
            )
            for name, one in answer["orders"].items()
        ),
        notes=("Of each layer up to 256 query positions, spread over its map, all heads and channels.",),
    )


def _layer_table(answer: Answer) -> Table:
    return Table(
        name="interactions-layers",
        title="How each layer sees",
        columns=(
            Column(name="layer", origin="label"),
            Column(name="map", origin="label"),
            Column(name="heads", origin="label"),
            Column(name="weight by position", origin="measured", unit="%", digits=0),
            Column(name="weight outside 3 × 3", origin="measured", unit="%", digits=0),
        ),
        rows=tuple(
            (
                one["name"],
                "{} × {}".format(*one["size"]),
                one["heads"],
                100 * one["position_share"],
                100 * one["beyond"],
            )
            for one in answer["layers"]
        ),
        notes=(
            "Weights without their signs, summed over the queries. By position: the share of q·R in |q·K̄| + |q·R|. "
            "Outside 3 × 3: what a 3 × 3 convolution at the same place could not see.",
        ),
    )


def _figures(answer: Answer) -> list[Figure]:
    maps, picture = unpacked(answer["maps"]), _as_array(answer["picture"])
    return [
        _figure(name, {what: maps[f"{name}/{what}"] for what in _parts(maps, name)}, picture, answer["places"])
        for name in answer["drawn"]
    ]


def _parts(maps: Mapping[str, Any], name: str) -> list[str]:
    return [what for what in ("content", "position") if f"{name}/{what}" in maps]


def _as_array(picture: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(base64.b64decode(picture))).convert("RGB"))


def _figure(
    layer: str, parts: Mapping[str, NDArray[Any]], picture: NDArray[np.uint8], places: Sequence[Sequence[float]]
) -> Figure:
    """A row a query; the image, then the heads by content, then by position."""
    num_heads = min(MOST_HEADS, next(iter(parts.values())).shape[1])
    size = next(iter(parts.values())).shape[2:]
    largest = {what: float(np.abs(part).max()) for what, part in parts.items()}
    columns = 1 + num_heads * len(parts)
    with drawing(columns, len(places), height=0.62 + 0.86 * len(places)) as (figure, panels):
        for row, (down, right) in enumerate(places):
            cells = panels[row * columns : (row + 1) * columns]
            shown = [(what, head) for what in parts for head in range(num_heads)]
            _draw_picture(cells[0], picture, 1.0)
            cells[0].set_title("query" if row == 0 else "", fontsize=9, loc="center", weight="normal")
            for axes, (what, head) in zip(cells[1:], shown, strict=True):
                _draw_picture(axes, picture, 0.3)
                _draw_weights(axes, parts[what][row, head], largest[what], picture.shape)
                title = f"{what if head == 0 else ''}\nhead {head + 1}" if row == 0 else ""
                axes.set_title(title, fontsize=9, loc="center", weight="normal")
            for axes in cells:
                _draw_query(axes, (down, right), size, picture.shape)
        png = as_png(figure)
    scales = " and ".join(f"{largest[what]:.2g} by {what}" for what in parts)
    return Figure(
        name=f"interactions-{layer}",
        title=f"Layer {layer}, a map of {size[0]} × {size[1]}",
        png=png,
        caption="Each row asks from one position, the white dot; each column is a head. Orange: what is there is added "
        "to that position's output; blue and hatched: taken away; the fuller, the more (by the root). Full colour: "
        f"{scales}.",
    )


def _draw_picture(axes: Axes, picture: NDArray[np.uint8], strength: float) -> None:
    """The image, made paler where colours go on top of it."""
    axes.imshow((255 - strength * (255.0 - picture)).round().astype(np.uint8))
    axes.set_axis_off()


def _draw_query(axes: Axes, place: Sequence[float], size: Sequence[int], shape: Sequence[int]) -> None:
    """A dot in the middle of the map's position that holds a place of the image."""
    y, x = ((int(share * side) + 0.5) / side for share, side in zip(place, size, strict=True))
    dot = {"marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgecolor": "black"}
    axes.plot([x * shape[1] - 0.5], [y * shape[0] - 0.5], **dot)


def _draw_weights(axes: Axes, weights: NDArray[Any], largest: float, shape: Sequence[int]) -> None:
    """Weights over the image: colour and hatch by sign, opacity by size."""
    opacity = (np.abs(weights) / max(largest, 1e-30)) ** 0.5
    over = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    axes.imshow(by_sign(weights, opacity, cell_of(weights.shape)), extent=over)
