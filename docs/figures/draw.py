"""Draw the figures of docs/theory.md: python docs/figures/draw.py [folder]. Needs the extra `docs`."""

import itertools
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from surefoot.compress.linear_regions import plane_linear_regions
from surefoot.compress.transform import compress
from surefoot.core.rounding import REAL
from surefoot.evaluate.certified import polygon
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Mul, Relu
from surefoot.losses import FocalLoss
from surefoot.metrics import METRICS, measure
from surefoot.reach.curvature import curvature, factors_of, least_curvature
from surefoot.reach.exact_stars import exact
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.star_state import begin
from surefoot.reach.stars import approximate
from surefoot.recalibrate import InverseFocal
from surefoot.recalibrate.spline import Spline
from surefoot.report.plane import cells_of
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.stars import star_of_inputs

BLUE, RED, GREEN, GREY = "#2563a8", "#b8442f", "#3a7d44", "#888888"
mpl.use("agg")
mpl.rcParams.update({
    "svg.hashsalt": "surefoot", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.6,
})  # fmt: skip


def panels(*titles: str) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel a title."""
    figure = Figure((4.2 * len(titles), 3.2), layout="constrained")
    axes = [figure.add_subplot(1, len(titles), i + 1) for i in range(len(titles))]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=10)
    return figure, axes


def dense(*layers: tuple[list[list[float]], list[float]]) -> Graph:
    """Build a dense network with ReLUs between its layers."""
    builder, last = GraphBuilder((len(layers[0][0][0]),)), 0
    for i, (weight, offset) in enumerate(layers):
        last = builder.add(Linear(torch.tensor(weight).double(), torch.tensor(offset).double()), last)
        last = builder.add(Relu(), last) if i < len(layers) - 1 else last
    return builder.build(last)


def random_net(widths: tuple[int, ...], seed: int) -> Graph:
    """Build a dense network with random weights."""
    rng = np.random.default_rng(seed)
    return dense(*(
        ((rng.normal(size=(n, m)) * (2 / m) ** 0.5).tolist(), (0.5 * rng.normal(size=n)).tolist())
        for m, n in itertools.pairwise(widths)
    ))  # fmt: skip


def losses() -> Figure:
    """Draw focal losses over the target's probability, and what their minimum says of the truth."""
    figure, (left, right) = panels("The loss of the target's probability p", "What focal training says of the truth")
    p = torch.linspace(0.001, 0.999, 400, dtype=torch.float64)
    logits = torch.stack([p.log(), (1 - p).log()], 1)
    for gamma, shade in ((0.0, GREY), (1.0, GREEN), (3.0, BLUE), (5.0, RED)):
        values = FocalLoss(gamma, reduction="none")(logits, torch.zeros(len(p), dtype=torch.long))
        left.plot(p, values, color=shade, label=f"γ = {gamma:g}" + (" (cross entropy)" if gamma == 0 else ""))
        true = InverseFocal(gamma).fit([[0.0, 0.0]], [0]).predict_proba(logits.numpy())[:, 0]
        right.plot(true, p, color=shade)
    left.set(xlabel="p", ylabel="loss", ylim=(0, 4))
    right.set(xlabel="true probability", ylabel="stated at the minimum of the loss")
    left.legend()
    return figure


def recalibration() -> Figure:
    """Draw the cumulative curves whose gap is the KS error, and the spline's repair."""
    figure, (left, right) = panels("KS error: the largest gap of two sums", "The spline's calibrator, and the truth")
    rng = np.random.default_rng(0)
    score = np.sort(rng.beta(6, 1.5, 3000))
    truth = score**2
    correct = rng.random(3000) < truth
    n = np.arange(1, 3001) / 3000
    confidence, accuracy = np.cumsum(score) / 3000, np.cumsum(correct) / 3000
    at = int(np.argmax(np.abs(confidence - accuracy)))
    left.plot(n, confidence, color=RED, label="confidence, summed")
    left.plot(n, accuracy, color=BLUE, label="correct, summed")
    left.vlines(n[at], accuracy[at], confidence[at], color=GREY, linestyles="dashed")
    probs = np.stack([score, 1 - score], 1)[score > 0.5]
    ks = measure([(probs, (~correct[score > 0.5]).astype(int))], [METRICS["ks"]])["ks"]
    left.set(xlabel="share of rows, by confidence", ylabel="share of all rows")
    left.legend(title=f"gap {abs(confidence - accuracy)[at]:.3f}; KS above ½: {ks.value:.3f}", title_fontsize=8)
    right.plot(score, truth, color=GREY, linestyle="dashed", label="truth")
    right.plot(score, Spline().fit(score, correct)(score), color=BLUE, label="natural cubic spline")
    right.plot([0, 1], [0, 1], color=GREY, linewidth=0.6)
    right.set(xlabel="confidence", ylabel="probability of being correct")
    right.legend()
    return figure


def stars() -> Figure:
    """Draw the triangle that encloses a ReLU, and the outputs of a small network: exact, and enclosed."""
    figure, (left, right) = panels("An unstable ReLU, −1 ≤ x ≤ 2", "Two outputs over a box of inputs")
    left.fill([-1, 0, 2], [0, 0, 2], color=BLUE, alpha=0.2, linewidth=0, label="the triangle")
    left.plot([-1, 0, 2], [0, 0, 2], color=BLUE, label="relu(x)")
    left.plot([-1, 2], [-0.5, 1], color=RED, linewidth=1, label="a line below, slope ½")
    left.set(xlabel="x", ylabel="y")
    left.legend()
    graph = random_net((2, 6, 6, 2), 4)
    query = Query(InputSet(np.full(2, -1.0), np.full(2, 1.0)), (Unsafe(np.zeros((1, 2)), np.zeros(1)),))
    star = star_of_inputs(query.inputs, (2,))
    whole = polygon(approximate(graph, begin(star)).star, 0, 1)
    right.fill(*whole.T, color=GREY, alpha=0.25, label="over-approximate star")
    parts = [polygon(state.star, 0, 1) for state in exact(graph, begin(star))]
    for part in parts:
        right.fill(*part.T, facecolor=BLUE, edgecolor="white", linewidth=0.5, alpha=0.7)
    x = 2 * torch.rand(800, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    right.plot(*evaluate(graph, x).T, ".", color="black", markersize=1.5, label="outputs of samples")
    right.set(xlabel="first output", ylabel="second output")
    right.legend(title=f"{len(parts)} exact stars", title_fontsize=8)
    return figure


def regions() -> Figure:
    """Draw the linear regions of a network over two domains, and count the units that each leaves."""
    graph = random_net((2, 12, 12, 2), 2)
    figure, axes = panels("", "")
    for axis, half in zip(axes, (1.0, 0.25), strict=True):
        domain = InputSet(np.full(2, -half), np.full(2, half))
        ends = torch.tensor([2 * half, 0.0]).double(), torch.tensor([0.0, 2 * half]).double()
        cells = cells_of(plane_linear_regions(graph, torch.from_numpy(domain.lower), *ends))
        for number, cell in enumerate(cells):
            corners = cell.corners * 2 * half - half
            axis.fill(*corners.T, color=mpl.colormaps["Blues"](0.15 + 0.6 * ((7 * number) % len(cells)) / len(cells)))
            axis.plot(*np.vstack([corners, corners[:1]]).T, color="white", linewidth=0.6)
        left = 24 - sum(compress(graph, domain).removed.values())
        axis.set_title(f"over [−{half:g}, {half:g}]²: {len(cells)} regions, {left} of 24 units needed", fontsize=10)
        axis.set(xlabel="first input", ylabel="second input", aspect="equal")
    return figure


def curve() -> Figure:
    """Draw a polynomial of one input and what bounds it from below: intervals, and convex functions of two boxes."""
    builder = GraphBuilder((1,))
    first = builder.add(Linear(torch.tensor([[1.0], [1.0]]).double(), torch.tensor([0.3, -0.4]).double()), 0)
    square = builder.add(Mul(), first, first)
    second = builder.add(Linear(torch.tensor([[0.8, -0.9]]).double(), torch.tensor([0.4]).double()), square)
    cube = builder.add(Mul(), second, builder.add(Linear(torch.tensor([[0.5]]).double(), torch.ones(1).double()), 0))
    graph = builder.build(cube)
    figure, (axis,) = panels("A polynomial over a box: below it, convex functions")
    x = torch.linspace(-1, 1, 401, dtype=torch.float64).unsqueeze(1)
    axis.plot(x, evaluate(graph, x), color="black", label="the polynomial")
    factors, row = factors_of(graph), torch.ones(1, 1, 1, dtype=torch.float64)
    whole, halves = ((-1.0, 1.0), RED, "over the whole box"), ((-1.0, 0.0), BLUE, "over its halves")
    for ends, shade, name in (whole, halves, ((0.0, 1.0), BLUE, "")):
        low, high = (torch.tensor([[end]]).double() for end in ends)
        boxes = relax(graph, Box(low, high), REAL, multi_neuron=False).boxes
        middle, spread = curvature(graph, boxes, factors, row)
        least = float(least_curvature(factors, middle, spread, torch.ones(1, 1).double())[0].min())
        z: Tensor = x[(x >= ends[0]) & (x <= ends[1])].unsqueeze(1)
        below = evaluate(graph, z) - max(-least, 0.0) / 2 * (z - ends[0]) * (ends[1] - z)
        axis.plot(z, below, color=shade, label=f"convex, {name}" if name else None)
        axis.hlines(float(boxes[-1].lower), *ends, color=shade, linewidth=1, linestyles="dotted")
    axis.set(xlabel="input", ylabel="value")
    axis.legend(title="dotted: interval bounds", title_fontsize=8)
    return figure


FIGURES = {"losses": losses, "recalibration": recalibration, "stars": stars, "regions": regions, "curvature": curve}


def main(folder: Path) -> None:
    """Draw all."""
    for name, draw in FIGURES.items():
        draw().savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
