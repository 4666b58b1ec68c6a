"""Figures of certified images: bounds where they are, closed polygons, the line of ties, pictures the right way up."""

import numpy as np
import pytest

from certified_images import TRIANGLE, radius, shown
from surefoot.report.certified_figures import band, bars, outputs, picture, wrong
from traces import traces


def test_a_band_lies_between_its_bounds() -> None:
    high, low = traces(band([radius(0.0), radius(0.1)], "accuracy", "accuracy"))
    assert (high.x, low.x) == ((0.0, 0.1), (0.0, 0.1))
    assert high.y == pytest.approx((0.5, 0.6))
    assert low.y == pytest.approx((0.5, 0.4))
    assert low.fill == "tonexty"


def test_bars_span_what_is_certified_and_the_true_class_stands_out() -> None:
    (drawn,) = traces(bars(shown(label=1)))
    found = shown().certified
    assert np.allclose(drawn.base, found.lower)
    assert np.allclose(np.add(drawn.base, drawn.y), found.upper, atol=0.005)  # a line where both are the same
    assert drawn.marker.color[0] == drawn.marker.color[2] != drawn.marker.color[1]


def test_polygons_are_closed_beside_the_line_of_ties() -> None:
    polygon, tie = traces(outputs(shown()))
    closed = np.concatenate([TRIANGLE, TRIANGLE[:1]])
    assert np.array_equal(np.stack([polygon.x, polygon.y], 1), closed)
    assert tie.x == tie.y == (0.0, 2.0)
    assert len(traces(wrong(shown("violated")))) == 2 + 1


def test_pictures_are_the_right_way_up_and_use_all_shades() -> None:
    grey = np.array([[[0.0, 0.5], [0.75, 1.0]]])
    (drawn,) = traces(picture(grey, ""))
    assert np.array_equal(drawn.z, [[0.75, 1.0], [0.0, 0.5]])  # Plotly's rows go upwards
    colours = np.arange(12.0).reshape(3, 2, 2)
    (drawn,) = traces(picture(colours, ""))
    assert (np.min(drawn.z), np.max(drawn.z)) == (0, 255)
    assert list(np.asarray(drawn.z)[1, 0]) == [int(255 * v / 11) for v in colours[:, 1, 0]]
