"""Networks that are bounded as large ones are: sound whatever the memory, and close where there is enough."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from networks import random_box, random_network, samples
from surefoot.core.deadline import Clock, Deadline
from surefoot.graph.graph import Graph, evaluate
from surefoot.reach import stars
from surefoot.reach.crown import Trace
from surefoot.reach.ibp import Box
from surefoot.sets import affine_form
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Violated, robustness
from surefoot.verify import large
from surefoot.verify.confidence import certify
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.stars import over_approximate, star_of_inputs

SEEDS = range(12)


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Let every network count as large, generators be windows, and so many bytes be left."""

    def set_up(left: int | None) -> None:
        monkeypatch.setattr(large, "LARGE", 0)
        monkeypatch.setattr(affine_form, "BATCH_NUMBERS", 1)
        monkeypatch.setattr(stars, "BATCH_NUMBERS", 1)
        monkeypatch.setattr(stars, "memory_left", lambda: left)

    return set_up


def network_of(graph: Graph) -> Network:
    def run(x: np.ndarray) -> np.ndarray:
        return evaluate(graph.to(torch.float32), torch.from_numpy(x).reshape(-1, *graph.input_shape)).numpy()

    return Network.of(graph, run)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("left", [None, 20_000, 2_000, 0])
def test_bounds_hold_whatever_the_memory(
    seed: int, left: int | None, small_is_large: Callable[[int | None], None]
) -> None:
    small_is_large(left)
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    y = evaluate(graph, samples(lower, upper, graph, 200, seed))
    rows = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    relaxation = large.relax_large(graph, inputs)
    trace = Trace()
    bounds = large.lower_bounds_in_lots(relaxation, rows, trace)[0]
    spare = 1e-12 * (1 + y.abs().max())
    assert bool((y.min(0).values >= bounds - spare).all())
    assert trace.input is not None
    reference = large.reference_of(graph, inputs)
    state = large.zonotope_around(graph, inputs, reference)
    low, high = state.star.form.box(state.predicate)
    assert bool((y >= low - state.star.form.error - spare).all())
    assert bool((y <= high + state.star.form.error + spare).all())
    again = large.relax_around(graph, Box.around(inputs, graph.input_shape), reference, state.seen)
    assert torch.equal(large.lower_bounds_in_lots(again, rows)[0], bounds)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_zonotope_is_reduced_to_what_the_time_allows(
    seed: int, small_is_large: Callable[[int | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_is_large(None)
    monkeypatch.setattr(stars, "PRODUCTS_A_SECOND", 1.0)
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    reference = large.reference_of(graph, inputs)
    whole = large.zonotope_around(graph, inputs, reference)
    some = Deadline(work=10.0, clock=Clock(lambda: 0.0, lambda: 0.0)).run(
        lambda: large.zonotope_around(graph, inputs, reference)
    )
    assert some is not None
    assert not whole.reduced
    assert some.predicate.variables <= whole.predicate.variables
    assert some.reduced or whole.predicate.variables <= len(lower)
    y = evaluate(graph, samples(lower, upper, graph, 200, seed))
    low, high = some.star.form.box(some.predicate)
    spare = 1e-12 * (1 + y.abs().max())
    assert bool(((y >= low - some.star.form.error - spare) & (y <= high + some.star.form.error + spare)).all())


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_of_an_interrupted_zonotope_serve(
    seed: int, small_is_large: Callable[[int | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory ends half-way: what is known by then is used, and bounds hold."""
    small_is_large(None)
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    rows = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    reference = large.reference_of(graph, inputs)
    whole = large.zonotope_around(graph, inputs, reference).seen
    operations, most = 0, max(whole, default=1)

    def fail(*given: object) -> None:
        nonlocal operations
        operations += 1
        if operations > most:
            raise MemoryError

    monkeypatch.setattr(stars, "tick", fail)
    relaxation = large.relax_large(graph, inputs)
    assert operations > most
    bounds = large.lower_bounds_in_lots(relaxation, rows)[0]
    y = evaluate(graph, samples(lower, upper, graph, 200, seed))
    spare = 1e-12 * (1 + y.abs().max())
    assert bool((y.min(0).values >= bounds - spare).all())
    known = [at for at in whole if at < most]
    again = large.relax_around(graph, Box.around(inputs, graph.input_shape), reference, {at: whole[at] for at in known})
    assert torch.equal(large.lower_bounds_in_lots(again, rows)[0], bounds)


@pytest.mark.parametrize("seed", SEEDS)
def test_windows_change_nothing(seed: int, small_is_large: Callable[[int | None], None]) -> None:
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    reference = large.reference_of(graph, inputs)
    boxes = []
    for windows in (False, True):
        if windows:
            small_is_large(None)
        state = large.zonotope_around(graph, inputs, reference)
        boxes.append(torch.stack(state.star.form.box(state.predicate)))
    torch.testing.assert_close(boxes[0], boxes[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_verdicts_and_confidence_are_right(seed: int, small_is_large: Callable[[int | None], None]) -> None:
    small_is_large(10_000)
    graph = random_network(seed)
    network = network_of(graph)
    lower, upper = random_box(graph, seed)
    inputs = InputSet(lower, upper)
    y = evaluate(graph, samples(lower, upper, graph, 200, seed)).numpy()
    label = int(y[0].argmax())
    verdict = verify(network, robustness(inputs, label, 3), 5.0)
    if isinstance(verdict, Holds):
        assert (y.argmax(1) == label).all()
    if isinstance(verdict, Violated):
        assert verdict.output.argmax() != label or np.sort(verdict.output)[-1] == np.sort(verdict.output)[-2]
    certified = certify(network, inputs)
    probabilities = torch.from_numpy(y).softmax(1).numpy()
    assert (probabilities >= certified.lower - 1e-9).all()
    assert (probabilities <= certified.upper + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_zonotope_that_lost_variables_names_no_input(seed: int, small_is_large: Callable[[int | None], None]) -> None:
    small_is_large(0)
    graph = random_network(seed)
    lower, upper = random_box(graph, seed)
    query = robustness(InputSet(lower, upper), 0, 3)
    star = star_of_inputs(query.inputs, graph.input_shape)
    found = over_approximate(graph, star, query, "zonotope", use_lps=False)
    assert found.input is None or found.star.predicate.variables >= star.predicate.variables
