"""Linear regions drawn: each polygon closed, in the colour of its largest output; and what the page says."""

import json
from pathlib import Path

import numpy as np

from surefoot.compress.linear_regions import LinearRegion, Polygon
from surefoot.report.plane import cells_of, plane, write_regions_page
from traces import traces


def region(corners: list[tuple[float, float]], answer: int) -> LinearRegion:
    """A region on which the output is constant, the largest at one class."""
    none = np.zeros((0, 2))
    return LinearRegion(
        np.zeros((2, 2)), np.eye(2)[answer], none, np.zeros(0), np.zeros(0, int), Polygon(np.array(corners))
    )


REGIONS = [
    region([(0, 0), (1, 0), (1, 1), (0, 1)], 0),
    region([(1, 0), (1.1, 0), (1.1, 1)], 1),
    region([(0, 1), (1, 1), (1, 1.1)], 0),
]


def test_polygons_are_closed_and_coloured_by_their_answer() -> None:
    zero, one, images = traces(plane(REGIONS))
    assert (zero.name, one.name) == ("class 0", "class 1")
    assert zero.fillcolor != one.fillcolor
    assert one.x == (1, 1.1, 1.1, 1, None)
    assert one.y == (0, 0, 1, 0, None)
    assert zero.x == (0, 1, 1, 0, 0, None, 0, 1, 1, 0, None)
    assert images.text == ("first", "second", "third")


def test_the_page_says_how_few_regions_hold_half_of_the_plane(tmp_path: Path) -> None:
    write_regions_page(tmp_path / "p.html", "mine", REGIONS)
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "3 linear regions" in text
    assert "in the largest 1." in " ".join(text.split())
    results = json.loads(text.split('id="results">')[1].split("</script>")[0])
    assert results["linear_regions"] == 3
    assert np.allclose(results["areas"], [cell.area for cell in cells_of(REGIONS)])
    assert np.allclose(results["areas"], [1.0, 0.05, 0.05])
