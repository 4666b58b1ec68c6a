"""Laws of branch and bound, on a toy that can be judged by looking at every point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from surefoot.core.deadline import Clock, Deadline
from surefoot.verify.branch_and_bound import (
    Bounds,
    Order,
    Paced,
    Problem,
    Result,
    best_first,
    branch_and_bound,
    breadth_first,
    depth_first,
    steady,
)
from surefoot.verify.progress import begin_stage, listening

Interval = tuple[int, int]
ORDERS = (best_first, depth_first, breadth_first)
SIZES = (1, 6, 64)
TINY = 2.0**-30


def never() -> bool:
    return False


@dataclass
class Line(Problem[Interval, int]):
    """Is f > 0 at the points of an interval? Bounded by the values at its ends and how steep f is."""

    f: np.ndarray
    steep: float
    begins: tuple[Interval, ...]
    bounded: list[Interval] = field(default_factory=list)
    broken: bool = False  # bounds are not numbers
    finish_from: int = 10**9

    @staticmethod
    def of(seed: int, shift: float) -> "Line":
        """Take a random walk whose least value is `shift`; all sums of its values are exact."""
        rng = np.random.default_rng(seed)
        f = rng.integers(-8, 9, size=int(rng.integers(1, 40))).cumsum() / 16
        cut = int(rng.integers(0, len(f)))
        roots = ((0, cut), (cut, len(f))) if cut else ((0, len(f)),)
        return Line(f - f.min() + shift, float(np.abs(np.diff(f)).max(initial=0)), roots)

    def roots(self) -> Sequence[Interval]:
        return self.begins

    def bound(self, batch: Sequence[Interval]) -> Bounds[Interval]:
        self.bounded += batch
        ends = np.array(batch)
        low, high = ends[:, 0], ends[:, 1] - 1
        values = (self.f[low] + self.f[high] - self.steep * (high - low)) / 2
        values = np.full(len(batch), np.nan) if self.broken else values
        return Bounds(torch.from_numpy(values), batch, torch.from_numpy((low + high) // 2))

    def branch(self, batch: Sequence[Interval]) -> list[tuple[int, list[Interval]]] | None:
        if any(high - low < 2 for low, high in batch):
            return None
        middles = [(low + high) // 2 for low, high in batch]
        return [(at, [(low, at), (at, high)]) for at, (low, high) in zip(middles, batch, strict=True)]

    def fallback(self, batch: Sequence[Interval], bounded: int) -> Bounds[Interval] | None:
        if bounded < self.finish_from:
            return None
        return Bounds(torch.tensor([self.f[low:high].min() for low, high in batch]), batch, torch.zeros(0))

    def replay(self, x: torch.Tensor) -> torch.Tensor | None:
        wrong = x[torch.from_numpy(self.f)[x.long()] <= 0]
        return wrong[:1] if len(wrong) else None

    def solved(
        self,
        order: Order = best_first,
        size: int = 4,
        is_over: Callable[[], bool] = never,
        replay: Callable[[torch.Tensor], torch.Tensor | None] | None = None,
        most_subproblems: int = 10**9,
    ) -> Result[Interval, int]:
        return branch_and_bound(self, replay or self.replay, is_over, lambda _: size, order, most_subproblems)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shift", [0.25, TINY, 0.0, -0.25])
def test_the_verdict_is_that_of_brute_force_whatever_the_order_and_the_batches(
    order: Order, size: int, shift: float
) -> None:
    for seed in range(10):
        line = Line.of(seed, shift)
        found = line.solved(order, size)
        assert found.proven == (line.f.min() > 0)
        assert found.margin <= line.f.min()
        assert found.subproblems == len(line.bounded)
        if not found.proven:
            assert found.counterexample is not None
            assert line.f[int(found.counterexample)] <= 0


@pytest.mark.parametrize("order", ORDERS)
def test_leaves_are_a_partition_and_branchings_lead_to_them(order: Order) -> None:
    for seed in range(10):
        line = Line.of(seed, 0.25)
        found = line.solved(order, 3)
        assert sorted(i for low, high in found.leaves for i in range(low, high)) == list(range(len(line.f)))
        tree = dict(enumerate(line.begins))
        depths = dict.fromkeys(tree, 0)
        made = len(tree)
        for number, at in found.branchings:
            low, high = tree.pop(number)
            tree[made], tree[made + 1] = (low, at), (at, high)
            depths[made] = depths[made + 1] = depths[number] + 1
            made += 2
        assert sorted(tree.values()) == sorted(found.leaves)
        assert found.depth == max(depths.values())
        assert found.subproblems == made


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shift", [0.25, -0.25])
def test_the_margin_is_sound_and_never_falls_whenever_it_is_over(order: Order, shift: float) -> None:
    for seed in range(5):
        margins = []
        for turns in range(25):
            line, asked = Line.of(seed, shift), iter(range(10**9))
            found = line.solved(order, 2, lambda: next(asked) >= turns, replay=lambda _: None)  # noqa: B023
            assert found.margin <= line.f.min()
            assert not found.proven or shift > 0
            margins.append(found.margin)
        assert margins == sorted(margins)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", SIZES)
def test_what_is_violated_is_never_proven_though_no_counterexample_is_replayed(order: Order, size: int) -> None:
    for seed in range(10):
        found = Line.of(seed, -TINY).solved(order, size, replay=lambda _: None)
        assert not found.proven
        assert found.why == "nothing is left to branch on"


def test_what_is_not_a_number_proves_nothing_and_hides_no_bound() -> None:
    line = Line.of(3, 5.0)
    line.broken = True
    found = line.solved()
    assert found.why == "nothing is left to branch on"
    assert found.margin == -np.inf
    assert not found.leaves


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("finish_from", [0, 5, 40])
def test_what_is_finished_in_another_way_needs_no_children(order: Order, finish_from: int) -> None:
    for seed in range(8):
        line = Line.of(seed, TINY)
        plain = line.solved(order)
        line.finish_from = finish_from
        found = line.solved(order)
        assert found.proven
        assert found.subproblems <= plain.subproblems
        assert sorted(i for low, high in found.leaves for i in range(low, high)) == list(range(len(line.f)))


def test_suspects_of_finishing_are_replayed_and_what_it_leaves_open_is_branched() -> None:
    class Suspicious(Line):
        def fallback(self, batch: Sequence[Interval], bounded: int) -> Bounds[Interval]:
            return Bounds(torch.full((len(batch),), torch.nan), batch, torch.tensor([low for low, _ in batch]))

    found = Suspicious(np.array([0.0, 3.0, 3.0, 3.0]), 3.0, ((0, 4),)).solved()
    assert found.counterexample is not None
    assert int(found.counterexample) == 0
    assert not found.branchings
    blind = Suspicious(np.array([1.0, 3.0, 3.0, 3.0]), 3.0, ((0, 4),)).solved()
    assert blind.proven
    assert blind.branchings


def test_no_more_subproblems_than_allowed_and_a_batch() -> None:
    line = Line.of(5, TINY)
    full = line.solved(size=2)
    found = line.solved(size=2, most_subproblems=3)
    assert full.subproblems > 5
    assert found.why == "as many subproblems as allowed"
    assert 3 < found.subproblems <= 5
    assert found.margin <= line.f.min()


def test_a_deadline_that_runs_ends_it_between_batches() -> None:
    work = [0.0]

    class Slow(Line):
        def bound(self, batch: Sequence[Interval]) -> Bounds[Interval]:
            work[0] += 1
            return super().bound(batch)

    line = Line.of(5, TINY)
    slow = Slow(line.f, line.steep, line.begins)
    deadline = Deadline.of(3, Clock(lambda: work[0], lambda: work[0]))
    assert deadline.run(lambda: slow.solved(size=2)) is None
    assert work[0] == 3


def test_batches_grow_until_they_take_their_share_of_work() -> None:
    work = [0.0]
    size = Paced(1.0, lambda: work[0], 100)
    parts, sizes = 0, []
    for cost in [1e-6] * 9 + [0.1] * 3:  # of each subproblem
        sizes.append(size(parts))
        parts += sizes[-1]
        work[0] += cost * sizes[-1]
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 100, 100, 100, 10, 10]
    work[0] += 50
    assert size(parts) == 1
    assert size(parts) == 1  # nothing was bounded since
    assert steady(7)(10**6) == 7


def test_a_search_of_one_subproblem_is_not_taken_for_that_of_all() -> None:
    """What is heard is a bound of everything, whatever the fallback searches."""
    heard: list[float] = []

    class Searching(Line):
        def fallback(self, batch: Sequence[Interval], bounded: int) -> Bounds[Interval] | None:
            part = Line(self.f + 100, self.steep, tuple(batch))
            branch_and_bound(part, lambda x: None, never, steady(1))
            return None

    made = Line.of(3, -1.0)
    with listening(lambda progress: heard.append(progress.bound)):
        begin_stage("input-splitting", -np.inf)
        branch_and_bound(Searching(made.f, made.steep, made.begins), lambda x: None, never, steady(1))
    assert heard
    assert max(heard) <= made.f.min()
