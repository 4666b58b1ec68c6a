"""Figures that one can hover: reliability diagrams and confidence histograms."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from surefoot.evaluate.evaluation import ReliabilityCurve
from surefoot.evaluate.training_log import TrainingLog

BEFORE, AFTER, _GREY = "#d1495b", "#2a7fba", "#8a8f98"


def figure_of(curve: ReliabilityCurve, title: str, colour: str) -> go.Figure:
    """Draw a reliability diagram with the histogram of confidences below it. Bars of few rows are pale."""
    figure = make_subplots(rows=2, cols=1, row_heights=[0.74, 0.26], vertical_spacing=0.05, shared_xaxes=True)
    _reliability(figure, curve, colour)
    _histogram(figure, curve, colour)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_xaxes(title_text="confidence", row=2)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title_text="accuracy", row=1)
    figure.update_yaxes(title_text="rows", row=2)
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0.5}, height=460, showlegend=False, bargap=0,
        margin={"l": 60, "r": 12, "t": 40, "b": 45}, hoverlabel={"align": "left"},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
    return figure


def _places(curve: ReliabilityCurve) -> tuple[list[float], list[float]]:
    centres = [(low + high) / 2 for low, high in zip(curve.lower, curve.upper, strict=True)]
    widths = [high - low for low, high in zip(curve.lower, curve.upper, strict=True)]
    return centres, widths


def _paleness(curve: ReliabilityCurve) -> list[float]:
    return [0.2 + 0.6 * min(1.0, count / 30) for count in curve.count]


def _reliability(figure: go.Figure, curve: ReliabilityCurve, colour: str) -> None:
    diagonal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": _GREY}, hoverinfo="skip")
    figure.add_trace(diagonal, row=1, col=1)
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
        x=centres, y=list(curve.accuracy), width=widths, customdata=facts, hovertemplate=hover,
        marker={"color": colour, "line": {"color": colour, "width": 1}, "opacity": _paleness(curve)},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.4, "color": _GREY,
            "array": [h - a for a, h in zip(curve.accuracy, curve.accuracy_high, strict=True)],
            "arrayminus": [a - b for a, b in zip(curve.accuracy, curve.accuracy_low, strict=True)],
        },
    )  # fmt: skip
    figure.add_trace(bars, row=1, col=1)
    points = go.Scatter(
        x=list(curve.confidence), y=list(curve.accuracy), mode="markers", hoverinfo="skip",
        marker={"color": colour, "size": 7, "line": {"color": "white", "width": 1.2}},
    )  # fmt: skip
    figure.add_trace(points, row=1, col=1)


def _histogram(figure: go.Figure, curve: ReliabilityCurve, colour: str) -> None:
    centres, widths = _places(curve)
    hover = "%{y:,} rows<extra></extra>"
    bars = go.Bar(
        x=centres, y=list(curve.count), width=widths, marker={"color": colour}, opacity=0.75, hovertemplate=hover
    )
    figure.add_trace(bars, row=2, col=1)


_TRAINING: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (  # title, unit, (column, name, colour)
    (
        "NLL",
        "nats",
        (
            ("train_nll", "trained on", BEFORE),
            ("val_nll", "held out", AFTER),
            ("val_refined_nll", "held out, after a temperature", _GREY),
        ),
    ),
    ("error", "share", (("train_error", "trained on", BEFORE), ("val_error", "held out", AFTER))),
    ("entropy", "nats", (("train_entropy", "trained on", BEFORE), ("val_entropy", "held out", AFTER))),
    (
        "confidence, held out",
        "mean",
        (("val_confidence_right", "of right answers", AFTER), ("val_confidence_wrong", "of wrong answers", BEFORE)),
    ),
    (
        "confidence, trained on",
        "mean",
        (("train_confidence_right", "of right answers", AFTER), ("train_confidence_wrong", "of wrong answers", BEFORE)),
    ),
    (
        "norms",
        "norm",
        (("last_layer_norm", "weights of the last layer", AFTER), ("gradient_norm", "gradient", BEFORE)),
    ),
)


def training_figures(log: TrainingLog) -> list[go.Figure]:
    """Draw what each epoch of a training did."""
    figures = []
    for title, unit, lines in _TRAINING:
        figure = go.Figure()
        for column, name, colour in lines:
            figure.add_scatter(x=log.numbers, y=log.columns[column], name=name, mode="lines", line={"color": colour})
        figure.update_layout(
            title={"text": title, "font": {"size": 15}, "x": 0.5}, height=440, hovermode="x unified",
            margin={"l": 60, "r": 12, "t": 40, "b": 45}, legend={"orientation": "h", "y": -0.2},
            paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        )  # fmt: skip
        figure.update_xaxes(title_text="epoch")
        figure.update_yaxes(title_text=unit)
        figures.append(figure)
    return figures
