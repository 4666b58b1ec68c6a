"""What a figure of Plotly draws."""

from typing import Any


def traces(figure: Any) -> tuple[Any, ...]:
    """Return its traces; Plotly's types do not say that these are."""
    return figure.data
