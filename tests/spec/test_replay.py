"""Candidates are replayed in the region's own float32 numbers, or at the nearest where it holds none."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Linear
from surefoot.spec.input_set import InputSet, LinearConstraints
from surefoot.spec.perturbations import ball
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated
from surefoot.spec.replay import Replay
from surefoot.spec.vnnlib import parse_vnnlib
from surefoot.verify.network import Network
from surefoot.verify.run import verify

EVERYTHING = (Unsafe(np.zeros((0, 2)), np.zeros(0)),)
ENDS = st.floats(-1e6, 1e6) | st.floats(-1e-37, 1e-37) | st.sampled_from([0.0, 0.1, -0.45, 1.0, 1e-45])
WIDTHS = st.sampled_from([0.0, 1e-300, 1e-12, 1e-9, 1e-7, 1e-3]) | st.floats(0, 1)


def same(x: np.ndarray) -> np.ndarray:
    """Give the first two inputs back."""
    return x[:, :2].astype(np.float64)


@given(st.lists(st.tuples(ENDS, WIDTHS), min_size=2, max_size=3), st.integers(0, 100))
def test_inside_where_float32_is_and_nearest_where_not(intervals: list[tuple[float, float]], seed: int) -> None:
    lower = np.array([low for low, _ in intervals])
    upper = np.array([max(low + width * max(abs(low), 1e-30), low) for low, width in intervals])
    candidates = torch.from_numpy(np.random.default_rng(seed).uniform(lower, upper, (5, len(lower))))
    hit = Replay(Query(InputSet(lower, upper), EVERYTHING), same)(candidates)
    assert hit is not None
    far = []
    for x, low, high in zip(hit.input, lower, upper, strict=True):
        assert x.dtype == np.float32
        up = np.float32(low) if Fraction(float(np.float32(low))) >= Fraction(low) else np.nextafter(
            np.float32(low), np.float32(np.inf)
        )  # fmt: skip
        if up <= high:  # the interval holds a float32 number
            assert low <= x <= high
        else:  # the nearest of its two neighbours
            down = np.nextafter(up, np.float32(-np.inf))
            far.append(min(Fraction(low) - Fraction(float(down)), Fraction(float(up)) - Fraction(high)))
            assert x in (down, up)
    assert hit.distance >= max(far, default=0)
    assert hit.distance <= float(max(far, default=0)) * (1 + 1e-12)


def test_a_bound_that_no_float64_holds_is_kept_exactly() -> None:
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 1.0000000000000000001))"
    (query,) = parse_vnnlib(text + "(assert (<= X_0 2))(assert (<= Y_0 9))", 1, 1)
    assert query.inputs.lower[0] == 1.0
    hit = Replay(query, lambda x: x.astype(np.float64))(torch.tensor([[1.0]], dtype=torch.float64))
    assert hit is not None
    assert (hit.input[0], hit.distance) == (np.nextafter(np.float32(1), np.float32(2)), 0.0)


def test_rows_that_cut_the_box_are_kept_exactly() -> None:
    query = Query(InputSet.of([0, 0], [1, 1], LinearConstraints.of([[1, 1]], [1])), EVERYTHING)
    inside, beside, outside = ([0.5, 0.5], [0.5, 0.5 + 2.0**-24], [0.5, 0.6])
    seen = [Replay(query, same)(torch.tensor([x], dtype=torch.float64)) for x in (inside, beside, outside)]
    assert seen[0] is not None
    assert seen[0].distance == 0
    assert seen[1] is not None
    assert seen[1].distance == pytest.approx(2.0**-24 / 2**0.5)
    assert seen[2] is None


@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.integers(1, 3000), st.booleans())
def test_what_rounding_takes_out_of_a_ball_is_moved_into_it(seed: int, norm: int, size: int, single: bool) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, 1, size)
    centre = centre.astype(np.float32).astype(np.float64) if single else centre
    step = rng.normal(size=(3, size))
    radius = 1e-6 * size + rng.exponential()
    region = ball(centre, radius, 1 if norm == 1 else 2, -1, 2)
    edge = centre + radius * step / np.linalg.norm(step, norm, axis=1, keepdims=True)
    hit = Replay(Query(region, (Unsafe(np.zeros((0, size)), np.zeros(0)),)), lambda x: x)(torch.from_numpy(edge))
    assert hit is not None
    assert hit.distance == 0
    moved = np.linalg.norm(hit.input - np.clip(edge, -1, 2), norm, axis=1).min()
    assert moved <= 3e-7 * size  # no farther than rounding


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("radius", [0.0, 1e-30, 1e30, 1e300])
def test_a_ball_of_any_size_keeps_its_centre_and_what_lies_in_it(radius: float) -> None:
    centre = np.array([0.5, 0.25])
    replay = Replay(Query(ball(centre, radius, 2, 0, 1), EVERYTHING), same)
    for x in (centre, centre + np.array([0, min(radius, 0.5) / 2]), np.ones(2)):
        hit = replay(torch.from_numpy(x[None]))
        assert hit is not None
        assert hit.distance == 0
    if radius > 1:
        assert hit.input.tolist() == [1, 1]


@pytest.mark.parametrize("fixed", ["0.1", "-0.45", "0.30000001192092896", "3.4e-46"])
def test_violations_of_a_fixed_input_are_found_beside_it(fixed: str) -> None:
    builder = GraphBuilder((2,))
    builder.add(Linear(torch.tensor([[1.0, 1.0]], dtype=torch.float64)), 0)
    text = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0"))
    text += f"(assert (<= -1 X_0 1))(assert (<= {fixed} X_1 {fixed}))(assert (>= Y_0 0.2))"
    (query,) = parse_vnnlib(text, 2, 1)
    found = verify(Network.of(builder.build()), query, 5.0)
    assert isinstance(found, Violated)
    far = abs(Fraction(float(np.float32(float(fixed)))) - Fraction(fixed))
    assert far <= found.distance_to_region <= float(far) * (1 + 1e-15)
    assert (found.distance_to_region == 0) == (far == 0)


@pytest.mark.parametrize(("bound", "verdict"), [("-1e-20", Violated), ("-3e-20", Unknown), ("-1e-12", Holds)])
def test_weights_of_many_digits_are_paid_for(bound: str, verdict: type) -> None:
    """At x = 1 the sum is -2e-20; of its weights, rounded to float64, it would be 0."""
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.tensor([[1.0], [3.0]], dtype=torch.float64)), 0)
    text = "".join(f"(declare-const {name} Real)" for name in ("X_0", "Y_0", "Y_1")) + "(assert (<= 1 X_0 1))"
    text += f"(assert (<= (- (* 3.00000000000000000001 Y_0) (* 1.00000000000000000001 Y_1)) {bound}))"
    (query,) = parse_vnnlib(text, 1, 2)
    assert query.unsafe[0].weight_errors.any()
    assert isinstance(verify(Network.of(builder.build()), query, 5.0), verdict)
