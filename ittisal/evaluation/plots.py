"""Pictures of an evaluation: scores with intervals, and the images on which a model scores best and
worst, with fixations. Needs matplotlib, which the rest does not.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import DataSet
from .models import Model
from .result import Evaluation
from .scenes import Scene
from .scores import METRICS

FORMATS = (".png", ".svg", ".pdf")
EACH = 4  # images: so many of the best, and of the worst
SCORED, REFERENCE = "#1f5fa8", "#8a8a8a"
FIXATION = "#ffe14d"


def check_plot(path: Path) -> None:
    """Raise ValueError, saying what to do, if a picture of this name cannot be drawn."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"pictures end in {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"pictures need matplotlib, which cannot be imported ({error}); "
            "pip install 'ittisal[plot]'"
        ) from None


def plot_scores(result: Evaluation, suffix: str = ".png") -> bytes:
    """Scores of all models, one panel per metric: dots with 95 % intervals.

    `suffix` is .png, .svg or .pdf; the bytes are those of such a file.
    """
    from matplotlib.figure import Figure

    names = sorted(result.models, key=lambda name: name in result.baselines)
    columns = min(3, len(result.metrics))
    rows = -(-len(result.metrics) // columns)
    size = (1.6 + 3.2 * columns, 0.7 + rows * (0.85 + 0.27 * len(names)))
    figure = Figure(size, layout="constrained", dpi=150)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    places = np.arange(len(names))[::-1]
    for axis, metric in zip(axes.flat, result.metrics, strict=False):
        for place, name in zip(places, names, strict=True):
            found = result.score(name, metric)
            colour = REFERENCE if name in result.baselines else SCORED
            reach = np.maximum([[found.mean - found.low], [found.high - found.mean]], 0)  # rounding
            axis.errorbar(found.mean, place, xerr=reach, fmt="o", color=colour, ms=3.5, capsize=3.5)
        label = METRICS[metric].label
        axis.set_title(label if METRICS[metric].higher_is_better else f"{label} (lower is better)")
        axis.set_yticks(places, [_plainly(name) for name in names])
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.margins(x=0.08)
        axis.grid(axis="x", color="#dddddd")
        axis.set_axisbelow(True)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    for axis in axes.flat[len(result.metrics) :]:
        axis.set_visible(False)
    figure.suptitle(_plainly(textwrap.fill(_caption(result), round(13 * size[0]))), fontsize=10)
    return _file(figure, suffix)


def plot_images(
    result: Evaluation, dataset: DataSet, models: list[Model], suffix: str = ".png"
) -> bytes:
    """The images on which a model scores best and worst, with fixations, and its maps of them.

    The model is the first that is no baseline (or the first), and the score NSS, or the first if
    NSS was not computed. Maps are made again: `dataset` and `models` are those of the result.
    `suffix` is .png, .svg or .pdf; the bytes are those of such a file.
    """
    from matplotlib.figure import Figure

    chosen = next((model for model in models if not model.baseline), models[0])
    metric = "nss" if "nss" in result.metrics else result.metrics[0]
    scores = result.of_image(chosen.name, metric)
    best_first = np.argsort(-scores if METRICS[metric].higher_is_better else scores, kind="stable")
    count = min(EACH, -(-len(scores) // 2))
    groups = {"best": best_first[:count], "worst": best_first[count:][::-1][:count]}
    if len(scores) == 1:
        del groups["worst"]
    figure = Figure(
        (max(3.0 * count, 6.0), 4.75 * len(groups) + 0.4), layout="constrained", dpi=120
    )
    axes = figure.subplots(2 * len(groups), count, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (title, places) in enumerate(groups.items()):
        for column, place in enumerate(places):
            name = result.images[place]
            scene = Scene(dataset, dataset.images.index(name))
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            # A pixel reaches from its number to the next, as in the fixations.
            extent = (0, scene.shape[1], scene.shape[0], 0)
            above.imshow(scene.image, extent=extent)
            values = chosen.map(scene, result.treatment).values
            below.imshow(values, cmap="inferno", extent=extent)
            for axis, face, edge in ((above, FIXATION, "black"), (below, "none", "white")):
                axis.scatter(scene.x, scene.y, s=9, c=face, edgecolors=edge, linewidths=0.5)
                axis.set_xlim(*extent[:2])
                axis.set_ylim(*extent[2:])
            score = f"{METRICS[metric].label} {scores[place]:.2f}"
            above.set_title(f"{title}: {score}\n{_plainly(Path(name).name)}", fontsize=9)
    title = f"{chosen.name} on {result.dataset}: photographs and maps, with fixations"
    figure.suptitle(_plainly(title))
    return _file(figure, suffix)


def _caption(result: Evaluation) -> str:
    how = result.treatment
    treatment = f", sigma of smoothing {how.smooth_percent:g} %" if how.smooth_percent else ""
    treatment += ", centre bias" if how.centre_bias else ""
    return (
        f"{result.dataset}: {len(result.images)} images, {result.fixations} fixations{treatment}; "
        "means with 95 % intervals over images"
    )


def _file(figure: Any, suffix: str) -> bytes:
    from matplotlib import rc_context

    out = io.BytesIO()
    # Without the date and with names that do not change, so that equal results give equal files.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "ittisal"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a box is drawn
        figure.savefig(out, format=suffix[1:].lower(), metadata=metadata[suffix.lower()])
    return out.getvalue()


def _plainly(name: str) -> str:
    """A name as matplotlib draws it letter by letter: no formula, no bytes that are no text."""
    return name.encode("utf-8", "replace").decode().replace("$", r"\$")
