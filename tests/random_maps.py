"""Random maps: legal lists of steps whose breakpoints lie where rows pass, and files that no door may let in."""

from collections.abc import Callable
from typing import Any

import numpy as np

from surefoot.core.errors import InputError
from surefoot.recalibrate.curves import CalibrationCurve, LogOddsCurve, PiecewiseLinear, StepFunction
from surefoot.recalibrate.steps import (
    TOP_SCORES,
    Affine,
    Curves,
    InverseFocal,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    RowTemperature,
    Softmax,
    Step,
    TopCurve,
)

Rng = np.random.Generator
Steps = tuple[Step, ...]


def legal(rng: Rng, rows: np.ndarray, depth: int = 1) -> Steps:
    """Draw a legal list from logits to probabilities; `rows` (n, k) are logits that will pass through it."""
    steps: list[Step] = []
    for _ in range(rng.integers(0, 3)):
        steps.append(_on_logits(rng, rows))
        rows = _after(steps[-1], rows)
    steps.append(_mix(rng, rows, depth) if depth and rng.random() < 0.25 else Softmax())
    rows = _after(steps[-1], rows)
    for _ in range(rng.integers(0, 3)):
        for step in _on_probabilities(rng, rows, depth):
            steps.append(step)
            rows = _after(step, rows)
    return tuple(steps)


def _after(step: Step, rows: np.ndarray) -> np.ndarray:
    """Return what a step makes of rows; anything, where a part of a mix refuses them."""
    try:
        return step(rows)
    except InputError:
        return np.full(rows.shape, 1 / rows.shape[1])


def _mix(rng: Rng, rows: np.ndarray, depth: int) -> Mix:
    count = int(rng.integers(1, 4))
    weights = rng.dirichlet(np.ones(count)) * rng.choice([1.0, 0.7, 0.0])
    return Mix(weights, tuple(legal(rng, rows, depth - 1) for _ in range(count)))


def _on_logits(rng: Rng, rows: np.ndarray) -> Step:  # noqa: PLR0911  (one case a step)
    k = rows.shape[1]
    pick = rng.integers(10)
    if pick < 2:
        return Affine(np.array(rng.choice([0.4, 2.5, 1e-3, 30.0, 0.0, -1.0])), np.array(rng.normal()))
    if pick < 4:
        return Affine(rng.normal(size=k) + 1, rng.normal(size=k))
    if pick == 4:
        return Affine(np.eye(k) + 0.3 * rng.normal(size=(k, k)), rng.normal(size=k))
    if pick < 7:
        return _focal_undo(rng, rows)
    if pick == 7:
        return LogSoftmax()
    if pick == 8:
        sizes = [(5, min(k, TOP_SCORES)), (5,), (5, 5), (5,), (5,), ()]
        return RowTemperature(*(rng.normal(size=size) for size in sizes))
    return Affine(np.array(rng.choice([1.0, 0.1, 1e-6])), rng.normal(size=k) * 10.0 ** rng.integers(-2, 4))


def _focal_undo(rng: Rng, rows: np.ndarray) -> InverseFocal:
    jumps = np.unique(np.clip(at_rows(rng, Softmax()(rows), int(rng.integers(0, 3))), 1e-12, 1 - 1e-12))
    return InverseFocal(rng.choice([0.0, 0.5, 1.0, 3.0, 5.0, 60.0], len(jumps) + 1), jumps)


def at_rows(rng: Rng, rows: np.ndarray, count: int) -> np.ndarray:
    """Return numbers at which values of rows lie, or one or two floats beside."""
    values = np.clip(np.nan_to_num(rng.choice(rows.ravel(), count)), 0.0, 1.0)
    for _ in range(2):
        values = np.where(rng.random(count) < 0.3, np.nextafter(values, rng.choice([-1.0, 2.0])), values)
    return values


def _curve(rng: Rng, values: np.ndarray) -> CalibrationCurve:
    pick, count = rng.integers(4), int(rng.integers(1, 5))
    if pick == 0:
        a, b, c = rng.normal(size=3) * rng.choice([0.1, 1.0, 1.0, 10.0, 1e3]) * rng.choice([0.0, 1.0, 1.0, 1.0], 3)
        return LogOddsCurve(a, a if rng.random() < 0.3 else b, c)
    x = np.unique(at_rows(rng, values, count))
    if pick == 1:
        return StepFunction(x, rng.choice([rng.random(), 0.0, 1.0], len(x) + 1))
    x = np.unique(np.r_[x, np.nextafter(x[: rng.integers(2)], 2)]) if pick == 2 else x  # as good as a jump
    return PiecewiseLinear(x, rng.choice([rng.random(), rng.random(), 0.0, 1.0], len(x)))


def _curves_and_more(rng: Rng, rows: np.ndarray) -> Steps:
    k = rows.shape[1]
    count = 1 if rng.random() < 0.5 else k
    curves = Curves(tuple(_curve(rng, rows) for _ in range(count)))
    scores = curves(rows)
    match rng.integers(5):
        case 0:
            return curves, TopCurve((_curve(rng, scores.max(1)),), np.array(1.0))
        case 1:
            return curves, Reweigh(rng.random(k) + 0.1)
        case 2:
            return curves, Curves((_curve(rng, scores),)), Normalise()
        case _:
            return curves, Normalise()


def _on_probabilities(rng: Rng, rows: np.ndarray, depth: int) -> Steps:
    k = rows.shape[1]
    pick = rng.integers(8)
    if pick < 3:
        return _curves_and_more(rng, rows)
    if pick < 6:
        count = 1 if rng.random() < 0.5 else k
        power = np.array(rng.choice([0.0, 0.3, 1.0, 1.0, 7.0, 1e3]))
        return (TopCurve(tuple(_curve(rng, rows.max(1)) for _ in range(count)), power),)
    if pick == 6:
        factors = np.maximum(rng.choice([0.0, 1e-12, 1.0, 1e300], k) * rng.random(k), 0.0)
        factors[rng.integers(k)] = rng.choice([1.0, 1e-300, 1e308])
        return (Reweigh(factors),)
    if not depth:
        return (Normalise(),)
    parts = [() if rng.random() < 0.3 else _on_probabilities(rng, rows, 0) for _ in range(2)]
    return (Mix(np.array([0.5, 0.25]), tuple(parts)),)


def boxes_of_logits(rng: Rng, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the ends (k,) of a box of logits: narrow and wide, with ties, far-off and masked classes."""
    centre = rng.normal(size=k) * rng.choice([1.0, 4.0, 30.0, 400.0])
    if rng.random() < 0.3:
        centre[rng.integers(k)] = centre.max()
    if rng.random() < 0.15:
        centre[rng.integers(k)] = rng.choice([-65504.0, -1e9, float(np.finfo(np.float32).min)])
    radius = rng.choice([0.0, 1e-9, 1e-3, 0.1, 1.0, 20.0]) * (rng.random(k) if rng.random() < 0.5 else 1.0)
    return centre - radius, centre + radius


def points_of(rng: Rng, lower: np.ndarray, upper: np.ndarray, count: int) -> np.ndarray:
    """Draw rows (n, k) in a box: inside, at corners, one class up or down, the two largest tied where they can be."""
    k = len(lower)
    inside = rng.uniform(lower, np.maximum(upper, lower), (count, k))
    corners = np.where(rng.random((count, k)) < 0.5, lower, upper)
    one = np.eye(k, dtype=bool)[rng.integers(k, size=count)]
    alone = np.where(one, upper, lower), np.where(one, lower, upper)
    tied = inside.copy()
    first, second = np.argsort(-upper)[:2]
    tied[:, first] = tied[:, second]
    every = np.concatenate([inside, corners, *alone, np.clip(tied, lower, upper), [(lower + upper) / 2]])
    return np.clip(every, lower, upper)


Plain = list[dict[str, Any]]


def illegal(rng: Rng, k: int) -> tuple[str, Plain]:
    """Draw what no door may let in: what is wrong with it, and the steps as JSON holds them."""
    name = str(rng.choice(list(ILLEGAL)))
    return name, ILLEGAL[name](rng, k)


def _affine(weight: Any = 2.0, bias: Any = 0.0) -> dict[str, Any]:
    return {"step": "affine", "weight": weight, "bias": bias}


def _line(x: Any = (0.0, 1.0), y: Any = (0.0, 1.0)) -> dict[str, Any]:
    return {"curve": "line", "x": list(x), "y": list(y)}


def _curves(*curves: Any) -> Plain:
    return [SOFTMAX, {"step": "curves", "curves": list(curves)}, NORMALISE]


def _top(power: Any = 1.0, *curves: Any) -> Plain:
    return [SOFTMAX, {"step": "top-curve", "curves": list(curves or [_line()]), "power": power}]


def _mixed(weights: Any, *parts: Any) -> Plain:
    return [{"step": "mix", "weights": weights, "parts": list(parts)}]


def _undo(gammas: Any, thresholds: Any) -> Plain:
    return [{"step": "focal-undo", "gammas": gammas, "thresholds": thresholds}, SOFTMAX]


def _warm(k: int, **changed: Any) -> Plain:
    t = min(k, TOP_SCORES)
    fields = {"w1": np.ones((5, t)).tolist(), "b1": [0.0] * 5, "w2": np.ones((5, 5)).tolist(), "b2": [0.0] * 5}
    return [{"step": "row-temperature", **fields, "w3": [1.0] * 5, "b3": 0.0, **changed}, SOFTMAX]


SOFTMAX: dict[str, Any] = {"step": "softmax"}
LOG: dict[str, Any] = {"step": "log-softmax"}
NORMALISE: dict[str, Any] = {"step": "normalise"}

ILLEGAL: dict[str, Callable[[Rng, int], Plain]] = {
    "nothing at all": lambda _, k: [],
    "a softmax of probabilities": lambda _, k: [SOFTMAX, SOFTMAX],
    "an affine step on probabilities": lambda rng, k: [
        SOFTMAX,
        _affine(3.0, [rng.normal()] + [0.0] * (k - 1)),
        SOFTMAX,
    ],
    "log-softmax of probabilities": lambda _, k: [SOFTMAX, LOG, SOFTMAX],
    "focal undo of probabilities": lambda _, k: [SOFTMAX, *_undo([3.0], [])],
    "row temperature of probabilities": lambda _, k: [SOFTMAX, *_warm(k)],
    "a mix that undoes probabilities": lambda _, k: [SOFTMAX, *_mixed([1.0], [SOFTMAX])],
    "logits at the end": lambda _, k: [_affine()],
    "log-probabilities at the end": lambda _, k: [_affine(), LOG],
    "scores at the end": lambda _, k: _curves(_line(y=(0.0, 0.5)))[:-1],
    "curves of logits": lambda _, k: _curves(_line())[1:],
    "curves of log-probabilities": lambda _, k: [LOG, *_curves(_line())[1:]],
    "logits normalised": lambda _, k: [_affine(), NORMALISE],
    "logits reweighed": lambda _, k: [{"step": "reweigh", "factors": [1.0] * k}],
    "a top curve of logits": lambda _, k: _top()[1:],
    "a negative weight of a mix": lambda rng, k: _mixed([-rng.random(), 1.0], [SOFTMAX], [_affine(), SOFTMAX]),
    "weights of a mix above 1": lambda rng, k: _mixed([1.0, 1e-6 + rng.random()], [SOFTMAX], [_affine(), SOFTMAX]),
    "more weights than parts": lambda _, k: _mixed([0.5, 0.5], [SOFTMAX]),
    "fewer weights than parts": lambda _, k: _mixed([0.5], [SOFTMAX], [SOFTMAX]),
    "a mix of nothing": lambda _, k: _mixed([]),
    "a mix of one number": lambda _, k: _mixed(1.0, [SOFTMAX]),
    "a part that ends in logits": lambda _, k: _mixed([1.0], [_affine()]),
    "a part that ends in scores": lambda _, k: _mixed([1.0], _curves(_line(y=(0.0, 0.5)))[:-1]),
    "an empty part of logits": lambda _, k: _mixed([0.5, 0.5], [], [SOFTMAX]),
    "a part with a fault": lambda rng, k: _mixed([1.0], illegal(rng, k)[1]),
    "a part that is no list": lambda _, k: _mixed([1.0], SOFTMAX),
    "a negative factor": lambda rng, k: [SOFTMAX, {"step": "reweigh", "factors": [-rng.random()] + [1.0] * (k - 1)}],
    "factors that are all 0": lambda _, k: [SOFTMAX, {"step": "reweigh", "factors": [0.0] * k}],
    "too few factors": lambda _, k: [SOFTMAX, {"step": "reweigh", "factors": [1.0] * (k - 1)}],
    "one factor for all": lambda _, k: [SOFTMAX, {"step": "reweigh", "factors": [2.0]}],
    "a number as factors": lambda _, k: [SOFTMAX, {"step": "reweigh", "factors": 2.0}],
    "a table of factors": lambda _, k: [SOFTMAX, {"step": "reweigh", "factors": [[1.0] * k]}],
    "a factor that is no number": lambda rng, k: [
        SOFTMAX,
        {"step": "reweigh", "factors": [rng.choice([np.inf, np.nan])] + [1.0] * (k - 1)},
    ],
    "a line above 1": lambda rng, k: _curves(_line(y=(0.0, 1.0 + 1e-6 + rng.random()))),
    "a line below 0": lambda rng, k: _curves(_line(y=(-rng.random() - 1e-9, 1.0))),
    "a line that goes back": lambda _, k: _curves(_line(x=(1.0, 0.0))),
    "a line with two values at a score": lambda _, k: _curves(_line(x=(0.5, 0.5))),
    "a line without a point": lambda _, k: _curves(_line([], [])),
    "a line too wide for a float64": lambda _, k: _curves(_line(x=(-1e308, 1e308))),
    "stairs above 1": lambda rng, k: _curves({"curve": "stairs", "edges": [0.5], "values": [0.0, 1.1 + rng.random()]}),
    "stairs below 0": lambda rng, k: _top(1.0, {"curve": "stairs", "edges": [0.5], "values": [-0.1, 1.0]}),
    "stairs that go down": lambda _, k: _curves({"curve": "stairs", "edges": [0.5, 0.2], "values": [0.0, 0.1, 0.2]}),
    "stairs of too few values": lambda _, k: _curves({"curve": "stairs", "edges": [0.5], "values": [1.0]}),
    "log odds that are no number": lambda _, k: _curves({"curve": "log-odds", "a": np.inf, "b": 1.0, "c": 0.0}),
    "log odds a class": lambda _, k: _curves({"curve": "log-odds", "a": [1.0] * k, "b": 1.0, "c": 0.0}),
    "too many curves": lambda _, k: _curves(*[_line()] * (k + 1)),
    "two curves for three classes": lambda _, k: _curves(*[_line()] * (2 if k > 2 else 3)),
    "no curve": lambda _, k: _curves(),
    "a curve that is a step": lambda _, k: _curves(SOFTMAX),
    "a curve that is a number": lambda _, k: _curves(0.5),
    "a step that is a curve": lambda _, k: [SOFTMAX, _line()],
    "a negative power": lambda rng, k: _top(-rng.random()),
    "a power that is no number": lambda rng, k: _top(rng.choice([np.inf, np.nan])),
    "a power a class": lambda _, k: _top([1.0] * k),
    "two top curves for three classes": lambda _, k: _top(1.0, *[_line()] * (2 if k > 2 else 3)),
    "a negative gamma": lambda rng, k: _undo([-rng.random()], []),
    "too few gammas": lambda _, k: _undo([3.0], [0.2]),
    "too many gammas": lambda _, k: _undo([3.0, 5.0], []),
    "thresholds out of order": lambda _, k: _undo([3.0, 5.0, 1.0], [0.5, 0.2]),
    "a threshold twice": lambda _, k: _undo([3.0, 5.0, 1.0], [0.5, 0.5]),
    "a threshold of 0 or 1": lambda rng, k: _undo([3.0, 5.0], [rng.choice([0.0, 1.0, 1.5, -0.1])]),
    "gamma as a number": lambda _, k: _undo(3.0, []),
    "a gamma that is no number": lambda _, k: _undo([np.nan], []),
    "weights of another number of classes": lambda _, k: [_affine([1.0] * (k + 1)), SOFTMAX],
    "one weight as a list": lambda _, k: [_affine([2.0]), SOFTMAX],
    "a matrix of another size": lambda _, k: [_affine(np.ones((k, k + 1)).tolist()), SOFTMAX],
    "one row of a matrix": lambda _, k: [_affine([[1.0] * k]), SOFTMAX],
    "one column of a matrix": lambda _, k: [_affine([[1.0]] * k), SOFTMAX],
    "a bias of another number of classes": lambda _, k: [_affine(1.0, [0.0] * (k - 1)), SOFTMAX],
    "a bias of two ranks": lambda _, k: [_affine(1.0, np.zeros((k, k)).tolist()), SOFTMAX],
    "an infinite weight": lambda rng, k: [_affine(rng.choice([np.inf, -np.inf, np.nan])), SOFTMAX],
    "a whole number beyond float64": lambda _, k: [_affine(10**400), SOFTMAX],
    "a weight that is a text": lambda rng, k: [_affine(rng.choice(["2.0", "nan", ""])), SOFTMAX],
    "weights that are texts": lambda _, k: [_affine(["2.0"] * k), SOFTMAX],
    "a weight that is true": lambda _, k: [_affine(True), SOFTMAX],
    "a weight that is nothing": lambda _, k: [_affine(None), SOFTMAX],
    "ragged weights": lambda _, k: [_affine([[1.0] * k] * (k - 1) + [[1.0]]), SOFTMAX],
    "a weight that is a step": lambda _, k: [_affine(SOFTMAX), SOFTMAX],
    "row temperature of other shapes": lambda rng, k: _warm(
        k, **{str(rng.choice(["w1", "b1", "w2", "b2", "w3", "b3"])): np.ones(7).tolist()}
    ),
    "row temperature of more scores": lambda _, k: _warm(k, w1=np.ones((5, min(k, TOP_SCORES) + 1)).tolist()),
    "row temperature with one bias": lambda _, k: _warm(k, b1=0.0),
    "a field too many": lambda _, k: [SOFTMAX | {"more": 1}],
    "a field too few": lambda _, k: [{"step": "affine", "weight": 1.0}, SOFTMAX],
    "an unknown step": lambda _, k: [{"step": "exec"}, SOFTMAX],
    "an unknown curve": lambda _, k: _curves({"curve": "cubic", "x": [0.0]}),
    "a step without a name": lambda _, k: [{}, SOFTMAX],
    "a step whose name is a list": lambda _, k: [{"step": ["softmax"]}],
    "steps that are numbers": lambda rng, k: [rng.choice([0.5, None, "softmax"])],  # pyright: ignore[reportArgumentType, reportCallIssue]
}
