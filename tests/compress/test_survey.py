"""What is found of linear regions within a limit of time: counted as elsewhere, and what was not found is named."""

import itertools
from pathlib import Path

import numpy as np
import torch

from planted import box, dense
from surefoot.compress.linear_regions import linear_regions
from surefoot.compress.regions import breakpoints
from surefoot.compress.stability import Patience, stability
from surefoot.compress.survey import Survey
from surefoot.core.deadline import NEVER, Deadline
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import read_onnx

GRAPH = dense(0, ("inactive",), (6, 5), 2)
X = torch.from_numpy(np.random.default_rng(0).random((4, 2)))


def survey(until: Deadline = NEVER) -> Survey:
    return Survey(GRAPH, box(GRAPH), Patience(0.5, until))


def test_its_counts_are_those_of_what_it_calls() -> None:
    made = survey()
    made.signs(X)
    made.count(1000)
    made.segments(X)
    found = made.answers
    assert made.late == []
    signs = stability(GRAPH, box(GRAPH), 0.5)
    assert (found["active"], found["inactive"], found["neither"]) == signs.counts()
    assert found["regions"] == len(linear_regions(GRAPH, box(GRAPH)))
    assert found["regions"] <= int(found["at_most"])
    crossed = [len(breakpoints(GRAPH, a, b)) - 1 for a, b in itertools.pairwise(X)]
    assert (found["segments"], found["regions_of_a_segment"]) == (3, np.mean(crossed))


def test_a_region_is_written_that_is_the_network_around_its_input(tmp_path: Path) -> None:
    made = survey()
    made.around(X[1], tmp_path / "region.npz")
    region = np.load(tmp_path / "region.npz")
    y = evaluate(GRAPH, X[1:2])[0].numpy()
    assert np.allclose(region["weight"] @ X[1].numpy() + region["offset"], y)
    assert (region["rows"] @ X[1].numpy() + region["offsets"] >= 0).all()


def test_two_layers_are_written_with_the_share_where_they_are_exact(tmp_path: Path) -> None:
    made = survey()
    made.in_two_layers(tmp_path / "two.onnx", 1e3, 1000)
    told = made.answers["two_layers"]
    assert len(told["units"]) == 2
    x = torch.from_numpy(np.random.default_rng(1).random((2000, 2)))
    gaps = (evaluate(read_onnx(tmp_path / "two.onnx"), x) - evaluate(GRAPH, x)).abs().amax(1)
    assert abs(float((gaps < 1e-2).double().mean()) - told["exact_share"]) < 0.03


def test_when_time_is_up_what_was_not_found_is_named(tmp_path: Path) -> None:
    made = survey(Deadline.of(0.0))
    made.signs(X)
    made.count(1000)
    made.segments(X)
    made.around(X[0], tmp_path / "region.npz")
    assert made.plane(X) is None
    made.in_two_layers(tmp_path / "two.onnx", 1e3, 1000)
    assert made.late == [
        "signs", "all regions", "all segments", "the region around the image", "the page", str(tmp_path / "two.onnx"),
    ]  # fmt: skip
    assert made.answers == {"regions_at_least": 0, "segments": 0, "regions_of_a_segment": None}
    assert not list(tmp_path.iterdir())
