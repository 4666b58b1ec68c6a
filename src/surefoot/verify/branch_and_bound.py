"""Branch and bound: divide what is asked until every subproblem is proven, or an input breaks one.

*Method*: the frontier holds subproblems that are bounded and still open. A step takes a batch of them, branches each,
bounds the children, and attacks: inputs that bounding suspects are replayed. A subproblem with a bound above 0 is a
leaf of the proof; what is not a number proves nothing.

*Requirement*: bounds are sound, and the children of a subproblem cover it. What a subproblem is, the problem alone
knows: a box (`verify.input_splitting`, `verify.curved`), or signs of ReLUs (`verify.relu_splitting`).

*Property*: sound. Whenever it ends, nothing that is asked lies below the margin, which never falls on the way.
Complete, given time, if the bounds of small enough subproblems are tight.

*Reference*: Land and Doig 1960; Bunel et al. 2018, for networks; Xu et al. 2021, batches of subproblems.
"""

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeAlias, TypeVar

from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.verify.progress import say, unheard

S = TypeVar("S")  # a subproblem
D = TypeVar("D", bound=Hashable)  # what it was branched on
Reason = Literal["time is up", "as many subproblems as allowed", "nothing is left to branch on"]
Replay: TypeAlias = Callable[[Tensor], Tensor | None]  # inputs (m, ...) to one that is a counterexample
Order: TypeAlias = Callable[[float, int], tuple[float, int]]  # a bound and a number: the least comes first


@dataclass(frozen=True, eq=False)
class Bounds(Generic[S]):
    """Lower bounds of n subproblems, what bounding learnt of each, and inputs that may be counterexamples."""

    values: Float[Tensor, " n"]
    subproblems: Sequence[S]
    suspects: Tensor | None = None


class Problem(ABC, Generic[S, D]):
    """What is asked, and how to divide it."""

    @abstractmethod
    def roots(self) -> Sequence[S]:
        """Return the subproblems that cover all that is asked."""

    @abstractmethod
    def bound(self, batch: Sequence[S]) -> Bounds[S]:
        """Bound subproblems from below."""

    @abstractmethod
    def branch(self, batch: Sequence[S]) -> Sequence[tuple[D, Sequence[S]]] | None:
        """Return on what each subproblem is branched, and children that cover it; None if one cannot be."""

    def fallback(self, batch: Sequence[S], bounded: int) -> Bounds[S] | None:
        """Bound open subproblems in a dearer way, if it is time for that: so many have been bounded."""
        return None


@dataclass(frozen=True, eq=False)
class Result(Generic[S, D]):
    """What branch and bound found: it holds, or is violated (`counterexample`), or nobody knows (`why`).

    Attributes:
        margin: a lower bound of all that is asked, whatever was found.
        counterexample: an input that `replay` confirmed.
        why: why it ended without an answer.
        subproblems: how many subproblems were bounded.
        depth: of the deepest of them; the roots have depth 0.
        leaves: the subproblems that were proven; if it holds they cover the roots.
        branchings: which subproblem was branched, and on what; numbered are roots first, then children as they come.
    """

    margin: float
    counterexample: Tensor | None
    why: Reason | None
    subproblems: int
    depth: int
    leaves: tuple[S, ...]
    branchings: tuple[tuple[int, D], ...]

    @property
    def proven(self) -> bool:
        """Whether it holds."""
        return self.counterexample is None and self.why is None


def best_first(bound: float, number: int) -> tuple[float, int]:
    """Take the subproblem with the least bound: the margin rises soonest, and counterexamples are near."""
    return bound, number


def depth_first(bound: float, number: int) -> tuple[float, int]:
    """Take the subproblem that was made last: the frontier stays small."""
    return 0.0, -number


def breadth_first(bound: float, number: int) -> tuple[float, int]:
    """Take the subproblem that was made first: the largest."""
    return 0.0, number


def steady(size: int) -> Callable[[int], int]:
    """Bound so many subproblems at once."""
    return lambda bounded: size


@dataclass
class Paced:
    """Bound as many subproblems at once as take at most so many seconds of work, and at most twice as many as before.

    The limit of time is seen after each batch, so none may take long.
    """

    seconds: float
    work: Callable[[], float]  # the clock of the deadline
    most: int
    size: int = 1
    bounded: int = 0
    begin: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self.begin = self.work()

    def __call__(self, bounded: int) -> int:
        """Return how many the cost of the last batch allows; `bounded` counts those by now."""
        now = self.work()
        if done := bounded - self.bounded:
            allowed = int(done * self.seconds / max(now - self.begin, 1e-9))
            self.size = max(min(self.most, 2 * self.size, allowed), 1)
        self.bounded, self.begin = bounded, now
        return self.size


@dataclass(frozen=True, eq=False)
class _Node(Generic[S]):
    number: int
    depth: int
    bound: float  # its own or its parent's, whichever is better
    subproblem: S


class _Tree(Generic[S, D]):
    """All subproblems: the fresh, which are to be bounded, the frontier, and the leaves; where they come from."""

    def __init__(self, roots: Sequence[S], order: Order) -> None:
        self.order = order
        self.fresh = [_Node(number, 0, -math.inf, root) for number, root in enumerate(roots)]
        self.frontier: list[tuple[tuple[float, int], _Node[S]]] = []
        self.leaves: list[_Node[S]] = []
        self.branchings: list[tuple[int, D]] = []
        self.numbered, self.bounded, self.depth = len(self.fresh), 0, 0

    def take_fresh(self, most: int) -> list[_Node[S]]:
        batch, self.fresh = self.fresh[:most], self.fresh[most:]
        self.bounded += len(batch)
        self.depth = max(self.depth, *(node.depth for node in batch))
        return batch

    def push(self, batch: Sequence[_Node[S]]) -> None:
        for node in batch:
            heapq.heappush(self.frontier, (self.order(node.bound, node.number), node))

    def pop(self, most: int) -> list[_Node[S]]:
        return [heapq.heappop(self.frontier)[1] for _ in range(min(most, len(self.frontier)))]

    def prove(self, batch: Sequence[_Node[S]], bounds: Bounds[S]) -> list[_Node[S]]:
        """Keep what is proven as leaves; return what is open."""
        known = [
            replace(node, bound=value if value > node.bound else node.bound, subproblem=subproblem)
            for node, value, subproblem in zip(batch, bounds.values.tolist(), bounds.subproblems, strict=True)
        ]
        self.leaves += [node for node in known if node.bound > 0]
        return [node for node in known if not node.bound > 0]

    def grow(self, batch: Sequence[_Node[S]], branched: Sequence[tuple[D, Sequence[S]]]) -> None:
        for node, (decision, children) in zip(batch, branched, strict=True):
            self.branchings.append((node.number, decision))
            for child in children:
                self.fresh.append(_Node(self.numbered, node.depth + 1, node.bound, child))
                self.numbered += 1

    def least(self) -> float:
        """Return the least bound of all that is open; infinity if nothing is."""
        front = self.frontier[:1] if self.order is best_first else self.frontier
        return min((node.bound for node in (*self.fresh, *(node for _, node in front))), default=math.inf)

    def result(
        self, batch: Sequence[_Node[S]] = (), met: Tensor | None = None, why: Reason | None = None
    ) -> Result[S, D]:
        """Say what was found; `batch` is neither in the frontier nor among the leaves."""
        nodes = [*self.fresh, *(node for _, node in self.frontier), *self.leaves, *batch]
        margin = min((node.bound for node in nodes), default=math.inf)
        leaves = tuple(leaf.subproblem for leaf in self.leaves)
        return Result(margin, met, why, self.bounded, self.depth, leaves, tuple(self.branchings))


def branch_and_bound(
    problem: Problem[S, D],
    replay: Replay,
    is_over: Callable[[], bool],
    batch_size: Callable[[int], int],
    order: Order = best_first,
    most_subproblems: int = 10**9,
) -> Result[S, D]:
    """Bound, attack and branch until everything is proven, a counterexample is met, or it is over.

    `batch_size` says how many subproblems to bound at once, after so many; `is_over` is asked before each branching.

    Raises:
        TimeIsUp: a deadline that runs is over.
    """

    def attack(bounds: Bounds[S]) -> Tensor | None:
        return replay(bounds.suspects) if bounds.suspects is not None and len(bounds.suspects) else None

    tree: _Tree[S, D] = _Tree(problem.roots(), order)
    while tree.fresh or tree.frontier:
        tick()
        size = batch_size(tree.bounded)
        if not tree.fresh:
            if is_over():
                return tree.result(why="time is up")
            if tree.bounded > most_subproblems:
                return tree.result(why="as many subproblems as allowed")
            batch = tree.pop(max(size // 2, 1))  # most have two children
            with unheard():
                by_fallback = problem.fallback(_values(batch), tree.bounded)
            if by_fallback is not None:
                batch = tree.prove(batch, by_fallback)
                met = attack(by_fallback)
                if met is not None:
                    return tree.result(batch, met)
                if not batch:
                    continue
            branched = problem.branch(_values(batch))
            if branched is None:
                return tree.result(batch, why="nothing is left to branch on")
            tree.grow(batch, branched)
        batch = tree.take_fresh(size)
        bounds = problem.bound(_values(batch))
        tree.push(tree.prove(batch, bounds))
        say(tree.least, tree.bounded, len(tree.frontier) + len(tree.fresh))
        met = attack(bounds)
        if met is not None:
            return tree.result(met=met)
    return tree.result()


def _values(batch: Sequence[_Node[S]]) -> list[S]:
    return [node.subproblem for node in batch]
