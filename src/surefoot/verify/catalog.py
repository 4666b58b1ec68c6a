"""The methods of verification, one entry each, and in which order `auto` tries them."""

from collections.abc import Callable
from dataclasses import dataclass

from surefoot.core.errors import InputError
from surefoot.reach.stars import Rule
from surefoot.spec.query import Verdict
from surefoot.verify import stages
from surefoot.verify.curved import LARGEST
from surefoot.verify.input_splitting import AxisBy
from surefoot.verify.large import MANY_INPUTS as MANY_INPUTS_OF_LARGE
from surefoot.verify.search import Search, Stage
from surefoot.verify.stages import crown, exact

SOME_SUBPROBLEMS = 512  # that ReLU splitting may take between two ways of splitting inputs
FEW_UNSTABLE = 50  # ReLUs of a large network
MANY_BOXES = 8000  # that bisection alone may take
MANY_INPUTS = 200  # from so many on a zonotope has too many generators to be the cheap way


@dataclass(frozen=True)
class Method:
    """A way to answer a query.

    Attributes:
        name: as on the command line and in verdicts; these also name `attack` and `sampling`, that gave an input, and
            `softmax`, where the bounds of probabilities settle it.
        summary: one line for the help.
        complete: whether it answers every query, given time (but those within rounding).
        float32: whether what it proves is also tried for any float32 evaluation.
        certifies: whether it leaves a certificate.
        stages: what it tries, one after another.
    """

    name: str
    summary: str
    complete: bool
    float32: bool
    certifies: bool
    stages: Callable[[Search], list[Stage]]


def pgd(search: Search) -> Verdict | None:
    """Most that can be violated is in a few steps of projected gradient descent from the middle."""
    return stages.attack(search, 1, 6)


def long_attack(search: Search) -> Verdict | None:
    """Try more starts, and samples where inputs are few."""
    return stages.attack_thoroughly(search)


def zonotope(search: Search) -> Verdict | None:
    """Bound the region by one zonotope, where that is cheap."""
    most = MANY_INPUTS_OF_LARGE if search.is_large else MANY_INPUTS
    return stages.zonotope(search) if search.free_inputs <= most and not search.prove else None


def alpha_crown(search: Search) -> Verdict | None:
    """Bound it by CROWN, with slopes found by gradient ascent: ReLU splitting without a split."""
    return stages.split_relus(search, most_subproblems=len(search.query.unsafe))


def relus(most_subproblems: int = 10**9, share: float = 1.0) -> Stage:
    """Split ReLUs, in so many subproblems and this share of the work that is left."""

    def relu_splitting(search: Search) -> Verdict | None:
        return stages.split_relus(search, most_subproblems, share)

    return relu_splitting


def inputs(share: float = 1.0, axis_by: AxisBy = "slope", grace: float = 1.0) -> Stage:
    """Split inputs, in this share of the work that is left."""

    def input_splitting(search: Search) -> Verdict | None:
        return stages.split_inputs(search, share, axis_by, grace)

    return input_splitting


def dense_inputs(share: float = 1.0, most_subproblems: int = 10**9, relus: bool = False) -> Stage:
    """Split inputs of a dense network, in so many subproblems and this share of the work that is left.

    `relus`: of boxes with few unstable ReLUs these instead.
    """

    def input_splitting(search: Search) -> Verdict | None:
        return stages.split_inputs_of_dense(search, share, most_subproblems, relus)

    return input_splitting


def differences(share: float = 1.0, most_subproblems: int = 10**9) -> Stage:
    """Split inputs of two dense networks, with bounds of their differences, in this share of the work that is left."""

    def differences(search: Search) -> Verdict | None:
        return stages.split_inputs_of_pair(search, share, most_subproblems)

    return differences


def hulls(share: float = 1.0) -> Stage:
    """Split ReLUs with convex hulls of single neurons, in this share of the work that is left."""

    def neuron_hulls(search: Search) -> Verdict | None:
        return stages.split_relus_by_hulls(search, share)

    return neuron_hulls


def curved(share: float = 1.0) -> Stage:
    """Bound the curvature of a polynomial and split inputs."""

    def curvature(search: Search) -> Verdict | None:
        return stages.curvature(search, share)

    return curvature


def star(method: str, rule: Rule, lps: bool = True, relaxed: float = 0.0) -> Stage:
    """Propagate one star."""

    def stars(search: Search) -> Verdict | None:
        return stages.star(search, method, rule, lps, relaxed)

    stars.__name__ = method
    return stars


def exact_if_few(search: Search) -> Verdict | None:
    """Propagate stars exactly where few ReLUs were seen to be unstable: each split of a large network takes seconds."""
    return exact(search) if search.seen and search.unstable_seen <= FEW_UNSTABLE else None


exact_if_few.__name__ = "exact"


# Both ways to choose an axis: one is often a hundred times better than the other, and which is not known.
_INPUTS = (inputs(0.1, grace=2), inputs(0.85, "trial"), inputs())
_INPUTS_CERTIFIED = (inputs(0.1, grace=2), inputs(0.4, "trial"), inputs())
# Bisection alone proves most, in less time. What it does not is begun anew: by then it has small boxes alone, and the
# ReLUs of large ones are split as fast.
_DENSE_INPUTS = (dense_inputs(0.3, MANY_BOXES), dense_inputs(0.8, relus=True))
_DENSE = (
    dense_inputs(0.1, SOME_SUBPROBLEMS),  # often less dear than a long attack
    long_attack, *_DENSE_INPUTS, _INPUTS[0], relus(SOME_SUBPROBLEMS, 0.1), *_INPUTS[1:],
)  # fmt: skip
_TRIANGLE = star("star", "triangle")

# The first row whose condition is true. ReLUs are split until none is unstable; what is left then, and products, is for
# linear programs. Deep networks of few inputs often need few subproblems. Certificates speak of McCormick's planes, not
# of curvature. What ReLU splitting tries mostly lies outside of linear input constraints, so that it gets half there.
AUTO: tuple[tuple[str, Callable[[Search], bool], tuple[Stage, ...]], ...] = (
    ("ball", lambda s: s.in_ball, (crown, long_attack, relus())),
    ("large", lambda s: s.is_large, (crown, long_attack, exact_if_few)),
    ("few inputs, certified", lambda s: s.has_few_inputs and s.prove, (long_attack, *_INPUTS_CERTIFIED)),
    (
        "few inputs, polynomial",
        lambda s: s.has_few_inputs and s.is_polynomial,
        (long_attack, curved(0.5), _INPUTS[0], relus(SOME_SUBPROBLEMS, 0.1), *_INPUTS[1:]),
    ),
    ("few inputs, dense", lambda s: s.has_few_inputs and s.may_split_densely, _DENSE),
    (
        "few inputs, two dense networks",
        lambda s: s.has_few_inputs and s.pair is not None,
        (differences(0.1, SOME_SUBPROBLEMS), long_attack, differences(0.8), _INPUTS[0], *_INPUTS[1:]),
    ),
    ("few inputs", lambda s: s.has_few_inputs, (long_attack, _INPUTS[0], relus(SOME_SUBPROBLEMS, 0.1), *_INPUTS[1:])),
    ("polynomial, certified", lambda s: s.prove and s.is_polynomial, (long_attack, relus(), inputs())),
    ("certified", lambda s: s.prove, (long_attack, relus())),
    ("polynomial", lambda s: s.is_polynomial, (crown, long_attack, curved())),
    ("constrained, curved", lambda s: s.constraints is not None and not s.is_piecewise_linear,
     (crown, long_attack, relus(share=0.5), _TRIANGLE)),
    ("constrained", lambda s: s.constraints is not None, (crown, long_attack, relus(share=0.5), exact)),
    ("dense, small", lambda s: s.may_use_hulls,
     (crown, long_attack, relus(SOME_SUBPROBLEMS, 0.1), hulls(0.8), relus(), exact)),
    ("curved", lambda s: not s.is_piecewise_linear, (crown, long_attack, relus(), _TRIANGLE)),
    ("any other", lambda s: True, (crown, long_attack, relus(), exact)),
)  # fmt: skip


def _auto(search: Search) -> list[Stage]:
    row = next(row for _, condition, row in AUTO if condition(search))
    first = (pgd, zonotope) if search.is_large else (zonotope, pgd)  # the cheaper one first
    return [*first, *row]


def _curvature(search: Search) -> list[Stage]:
    if not search.is_polynomial:
        raise InputError(f"curvature is for polynomials of at most {LARGEST} inputs, degree 2 or more")
    return [pgd, curved()]


def _hulls(search: Search) -> list[Stage]:
    if not search.may_use_hulls:
        raise InputError(
            "neuron-hulls is for small dense networks and unsafe sets that are one halfspace; it writes no certificate"
        )
    return [pgd, hulls()]


def _split_inputs(search: Search) -> list[Stage]:
    if search.prove:
        return [pgd, *_INPUTS_CERTIFIED]
    return [pgd, *(_DENSE_INPUTS if search.may_split_densely else ()), *_INPUTS]


def _one(stage: Stage) -> Callable[[Search], list[Stage]]:
    return lambda search: [pgd, stage]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("auto", "cheap methods first, complete ones last", True, True, True, _auto),
        Method("crown", "CROWN (DeepPoly) backward bounds", False, True, False, _one(crown)),
        Method("curvature", "convex bounds of a polynomial from its curvature", False, True, False, _curvature),
        Method("alpha-crown", "CROWN with optimised slopes", False, True, True, _one(alpha_crown)),
        Method("relu-splitting", "branch and bound on ReLUs (beta-CROWN)", True, True, True, _one(relus())),
        Method("neuron-hulls", "ReLU splitting with convex hulls of single neurons", True, False, False, _hulls),
        Method("input-splitting", "branch and bound on inputs", True, True, True, _split_inputs),
        Method("exact", "exact star sets (ImageStar)", True, False, False, _one(exact)),
        Method("star", "approximate star sets", False, False, False, _one(_TRIANGLE)),
        Method("zonotope", "zonotopes", False, False, False, _one(star("zonotope", "zonotope", lps=False))),
        Method("polytope", "the abstract domain of DeepPoly as stars", False, False, False,
               _one(star("polytope", "polytope"))),
        Method("relaxed", "approximate star sets without most linear programs", False, False, False,
               _one(star("relaxed", "triangle", relaxed=1.0))),
    )
}  # fmt: skip
RENAMED = {
    "substitution": "crown", "ascent": "alpha-crown", "split": "relu-splitting", "divide": "input-splitting",
}  # fmt: skip


def find_method(name: str) -> Method:
    """Look a method up by its name, or by the one it had before.

    Raises:
        InputError: there is none of that name.

    >>> find_method("substitution").name
    'crown'
    """
    method = METHODS.get(RENAMED.get(name, name))
    if method is None:
        raise InputError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    return method


BALLS = ("auto", "crown", "alpha-crown", "relu-splitting")  # what knows of more than the box of a ball


def stages_of(method: Method, search: Search) -> list[Stage]:
    """Return what a method tries on a search.

    Raises:
        InputError: the method is not for the network, or not for balls.
    """
    if search.in_ball and method.name not in BALLS:
        raise InputError(f"the method {method.name} does not know of balls of the norms 1 and 2: {', '.join(BALLS)} do")
    return [pgd] if search.is_trivial else method.stages(search)
