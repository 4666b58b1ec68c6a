"""The linear regions that a plane cuts, drawn, and their page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.colors import qualitative

from surefoot.compress.linear_regions import LinearRegion, Polygon
from surefoot.report.page import html_of, render


def cells_of(linear_regions: Sequence[LinearRegion]) -> list[Polygon]:
    """Return the polygons of the linear regions of a plane."""
    return [region.cell for region in linear_regions if isinstance(region.cell, Polygon)]


def plane(linear_regions: Sequence[LinearRegion]) -> go.Figure:
    """Draw each linear region as a polygon, in the colour of the largest output in its middle."""
    figure = go.Figure()
    answers: dict[int, tuple[list[float | None], list[float | None]]] = {}
    for region, cell in zip(linear_regions, cells_of(linear_regions), strict=True):
        answer = int(region(cell.corners.mean(0)[None])[0].argmax())
        x, y = answers.setdefault(answer, ([], []))
        for corner in (*cell.corners, cell.corners[0]):
            x.append(float(corner[0]))
            y.append(float(corner[1]))
        x.append(None)
        y.append(None)
    for answer, (x, y) in sorted(answers.items()):
        colour = qualitative.Safe[answer % len(qualitative.Safe)]
        figure.add_trace(
            go.Scatter(
                x=x, y=y, mode="lines", fill="toself", fillcolor=colour, opacity=0.75, hoverinfo="name",
                line={"color": "rgba(40,44,52,0.6)", "width": 0.6}, name=f"class {answer}",
            )
        )  # fmt: skip
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    figure.add_trace(
        go.Scatter(
            x=corners[:, 0], y=corners[:, 1], mode="markers+text", text=["first", "second", "third"], showlegend=False,
            textposition="top right", marker={"color": "#111", "size": 9}, hoverinfo="text",
        )
    )  # fmt: skip
    figure.update_yaxes(scaleanchor="x", constrain="domain", range=[-0.04, 1.06])
    figure.update_xaxes(range=[-0.04, 1.06])
    figure.update_layout(
        height=620,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 40, "r": 12, "t": 12, "b": 40},
    )
    return figure


def write_regions_page(path: Path | str, title: str, linear_regions: Sequence[LinearRegion]) -> None:
    """Write the page of the linear regions that a plane cuts."""
    areas = np.array([cell.area for cell in cells_of(linear_regions)])
    sentence = (
        f"{len(linear_regions)} linear regions. The network is one affine map on each; half of the plane is in the "
        f"largest {int(np.searchsorted(np.cumsum(np.sort(areas)[::-1]), areas.sum() / 2)) + 1}."
    )
    results = {"title": title, "linear_regions": len(linear_regions), "areas": areas.tolist()}
    render(path, "regions.html", title, results, sentence=sentence, figure=html_of(plane(linear_regions), "plane"))
