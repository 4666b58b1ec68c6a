"""Figures of certified images: curves against the radius, pictures, bars of bounds, polygons of outputs."""

import numpy as np
import plotly.graph_objects as go

from surefoot.evaluate.certified import Radius, Shown
from surefoot.report.figures import AFTER, BEFORE

_GREY = "#8a8f98"
WRONG = "#c0392b"
_LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "margin": {"l": 50, "r": 12, "t": 40, "b": 40},
}  # fmt: skip


def band(radii: list[Radius], name: str, title: str) -> go.Figure:
    """Draw between what a quantity must lie, radius by radius."""
    eps = [r.eps for r in radii]
    ends = [getattr(r.summary, name) for r in radii]
    figure = go.Figure()
    high = go.Scatter(x=eps, y=[e[1] for e in ends], mode="lines+markers", line={"color": BEFORE}, name="at most")
    low = go.Scatter(
        x=eps, y=[e[0] for e in ends], mode="lines+markers", line={"color": AFTER}, name="at least", fill="tonexty",
        fillcolor="rgba(138,143,152,0.25)",
    )  # fmt: skip
    figure.add_traces([high, low])
    figure.update_layout(title={"text": title, "x": 0.5}, height=320, showlegend=False, **_LAYOUT)
    figure.update_xaxes(title_text="radius")
    return figure


def picture(image: np.ndarray, title: str) -> go.Figure:
    """Draw an image (c, h, w): its colours if it has three channels, else the first channel in grey."""
    low, high = float(image.min()), float(image.max())
    if len(image) == 3:
        shades = np.clip((image.transpose(1, 2, 0) - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
        figure = go.Figure(go.Image(z=shades))
    else:
        figure = go.Figure(go.Heatmap(z=np.atleast_2d(image[0])[::-1], colorscale="gray", showscale=False))
        figure.update_yaxes(scaleanchor="x", constrain="domain")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(title={"text": title, "x": 0.5}, height=240, **_LAYOUT)
    return figure


def bars(shown: Shown) -> go.Figure:
    """Draw between what each class's recalibrated probability stays."""
    bounds = shown.certified
    colours = [AFTER if j == shown.label else _GREY for j in range(len(bounds.lower))]
    figure = go.Figure(
        go.Bar(
            x=[str(j) for j in range(len(bounds.lower))], base=bounds.lower, y=bounds.upper - bounds.lower + 0.004,
            marker_color=colours, customdata=np.stack([bounds.lower, bounds.upper], 1),
            hovertemplate="class %{x}: %{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_yaxes(range=[0, 1.01], tickformat=".0%")
    figure.update_layout(title={"text": "each class, certified", "x": 0.5}, height=240, **_LAYOUT)
    return figure


def outputs(shown: Shown) -> go.Figure:
    """Draw where the outputs of the class and of its nearest rival can be, and the line on which they tie."""
    return _polygons(shown, (shown.reach,), AFTER, "two outputs; dotted: a tie")


def wrong(shown: Shown) -> go.Figure:
    """Draw, much larger, where sets of counterexamples near the one that is shown put the two outputs."""
    return _polygons(shown, shown.sets, WRONG, "wrong outputs nearby")


def _polygons(shown: Shown, polygons: tuple[np.ndarray, ...], colour: str, title: str) -> go.Figure:
    figure = go.Figure()
    for corners in polygons:
        x, y = np.concatenate([corners, corners[:1]]).T
        figure.add_trace(go.Scatter(x=x, y=y, fill="toself", line={"color": colour}, hoverinfo="skip"))
    every = np.concatenate(polygons)
    ends = [float(every.min()), float(every.max())]
    figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line={"dash": "dot", "color": BEFORE}, hoverinfo="skip"))
    figure.update_xaxes(title_text=f"output {shown.rivals[0]}")
    figure.update_yaxes(title_text=f"output {shown.rivals[1]}")
    figure.update_layout(title={"text": title, "x": 0.5}, height=240, showlegend=False, **_LAYOUT)
    return figure
