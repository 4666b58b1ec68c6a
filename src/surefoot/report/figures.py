"""Figures that one can hover: reliability diagrams and confidence histograms."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from surefoot.report.evaluation import Curve, Evaluation

_BEFORE, _AFTER, _GREY = "#d1495b", "#2a7fba", "#8a8f98"


def figure_of(evaluation: Evaluation) -> go.Figure:
    """Draw reliability before and after side by side, with the histogram of confidences below each."""
    titles = ("as it is", f"after {evaluation.method}")
    figure = make_subplots(
        rows=2, cols=2, row_heights=[0.72, 0.28], vertical_spacing=0.06, horizontal_spacing=0.09,
        shared_xaxes=True, subplot_titles=titles,
    )  # fmt: skip
    for column, (curve, colour) in enumerate(((evaluation.before.curve, _BEFORE), (evaluation.after.curve, _AFTER)), 1):
        _reliability(figure, curve, colour, column)
        _histogram(figure, curve, colour, column)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_xaxes(title_text="confidence", row=2)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", row=1)
    figure.update_yaxes(title_text="accuracy", row=1, col=1)
    figure.update_yaxes(title_text="rows", row=2, col=1)
    figure.update_layout(
        height=480, margin={"l": 55, "r": 12, "t": 36, "b": 45}, showlegend=False, bargap=0,
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", hoverlabel={"align": "left"},
    )  # fmt: skip
    return figure


def _places(curve: Curve) -> tuple[list[float], list[float]]:
    centres = [(low + high) / 2 for low, high in zip(curve.lower, curve.upper, strict=True)]
    widths = [high - low for low, high in zip(curve.lower, curve.upper, strict=True)]
    return centres, widths


def _reliability(figure: go.Figure, curve: Curve, colour: str, column: int) -> None:
    diagonal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": _GREY}, hoverinfo="skip")
    figure.add_trace(diagonal, row=1, col=column)
    centres, widths = _places(curve)
    facts = list(
        zip(
            curve.lower,
            curve.upper,
            curve.count,
            curve.confidence,
            curve.accuracy_low,
            curve.accuracy_high,
            strict=True,
        )
    )
    hover = (
        "confidence %{customdata[0]:.0%} to %{customdata[1]:.0%}: %{customdata[2]:,} rows<br>"
        "mean confidence %{customdata[3]:.1%}<br>accuracy %{y:.1%} (95%: %{customdata[4]:.1%} to %{customdata[5]:.1%})"
        "<extra></extra>"
    )
    bars = go.Bar(
        x=centres, y=list(curve.accuracy), width=widths, customdata=facts, hovertemplate=hover, opacity=0.75,
        marker={"color": colour, "line": {"color": colour, "width": 1}},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.4, "color": _GREY,
            "array": [h - a for a, h in zip(curve.accuracy, curve.accuracy_high, strict=True)],
            "arrayminus": [a - b for a, b in zip(curve.accuracy, curve.accuracy_low, strict=True)],
        },
    )  # fmt: skip
    figure.add_trace(bars, row=1, col=column)
    points = go.Scatter(
        x=list(curve.confidence), y=list(curve.accuracy), mode="markers", hoverinfo="skip",
        marker={"color": colour, "size": 7, "line": {"color": "white", "width": 1.2}},
    )  # fmt: skip
    figure.add_trace(points, row=1, col=column)


def _histogram(figure: go.Figure, curve: Curve, colour: str, column: int) -> None:
    centres, widths = _places(curve)
    hover = "%{y:,} rows<extra></extra>"
    bars = go.Bar(
        x=centres, y=list(curve.count), width=widths, marker={"color": colour}, opacity=0.75, hovertemplate=hover
    )
    figure.add_trace(bars, row=2, col=column)
