"""Time runs out at a random moment of `verify`, a property of several boxes, `equal` and `compress`, by a clock that
jumps at its n-th reading or by the timer: answers must be true, files whole, and the next run must agree.

Truth is asked of dense samples: a proven margin or bound that one of them passes is false.
"""

import math
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fuzz import Attack
from networks import random_box, random_network, samples
from planted import dense
from surefoot.compress.equal import equal
from surefoot.compress.file_equality import read_logits
from surefoot.compress.files import compress_file
from surefoot.compress.stability import Patience
from surefoot.compress.within import within
from surefoot.core.deadline import Clock, Deadline
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unsafe, Verdict, Violated
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.several import answer_all

CASES = 6_000
BEFORE = "nothing ended a search from outside: an equality ran 300 s of a limit of 30, 3,000 boxes 51 s of 1"
SAMPLES = 400
JUMP = 1e9  # seconds
READINGS = 4_000  # of the clock, at most, before it jumps
LONGEST = 0.3  # seconds, by the timer
SPARE = 1e-7


class Jumping:
    """A clock by which time stands still until it was read so many times, and then is up."""

    def __init__(self, readings: int) -> None:
        self.left = readings

    def wall(self) -> float:
        self.left -= 1
        return 0.0 if self.left >= 0 else JUMP

    def deadline(self) -> Deadline:
        return Deadline.of(100.0, Clock(self.wall, lambda: 0.0))


def limit(rng: np.random.Generator) -> Deadline:
    """Give a deadline that ends at a random moment, sometimes by the timer."""
    if rng.random() < 0.3:
        return Deadline.of(float(rng.uniform(0, LONGEST)))
    return Jumping(int(READINGS ** rng.random())).deadline()


def question(graph: Graph, seed: int) -> Query:
    """Ask about a box: how far an output can fall, near to the truth."""
    lower, upper = random_box(graph, seed)
    rng = np.random.default_rng(seed)
    x = samples(lower, upper, graph, 50, seed)
    least = evaluate(graph, x).flatten(1)[:, 0].min().item()
    bound = np.array([least + float(rng.normal()) * 0.2])
    row = np.zeros((1, math.prod(graph.output_shape)))
    row[0, 0] = 1.0
    return Query(InputSet(lower, upper), (Unsafe(row, bound),))


def refuted(graph: Graph, query: Query, verdict: Verdict, seed: int) -> str | None:
    """Say what is false of a verdict."""
    if isinstance(verdict, Violated):
        inside = bool(((query.inputs.lower <= verdict.input) & (verdict.input <= query.inputs.upper)).all())
        return None if inside and query.broken_by(verdict.output) else f"seed {seed}: violated, but it is not"
    if isinstance(verdict, Holds):
        y = evaluate(graph, samples(query.inputs.lower, query.inputs.upper, graph, SAMPLES, seed)).flatten(1).numpy()
        least = float(query.slack(y).min())
        if not verdict.margin > 0 or least < verdict.margin - SPARE:
            return f"seed {seed}: margin {verdict.margin} proven, {least} met"
    return None


def one_box(seed: int) -> tuple[str, str | None]:
    graph, rng = random_network(seed), np.random.default_rng(seed)
    query = question(graph, seed)
    method = rng.choice(
        ["auto", "auto", "relu-splitting", "input-splitting", "alpha-crown", "exact", "star", "zonotope", "crown"]
    )
    verdict = verify(Network.of(graph), query, limit(rng), str(method))
    return type(verdict).__name__.lower(), refuted(graph, query, verdict, seed)


def many_boxes(seed: int) -> tuple[str, str | None]:
    graph, rng = random_network(seed), np.random.default_rng(seed)
    queries = [question(graph, seed + i) for i in range(int(rng.integers(2, 12)))]
    verdict, _ = answer_all(Network.of(graph), queries, limit(rng), "auto", 0)
    if isinstance(verdict, Violated):
        faults = [refuted(graph, query, verdict, seed) for query in queries]
        return "violated", faults[0] if all(faults) else None
    return type(verdict).__name__.lower(), next((f for q in queries if (f := refuted(graph, q, verdict, seed))), None)


def difference(seed: int) -> tuple[str, str | None]:
    rng = np.random.default_rng(seed)
    one = random_network(seed)
    two = one if rng.random() < 0.1 else _moved(one, rng, float(10 ** rng.uniform(-6, 0)))
    lower, upper = (torch.from_numpy(end).reshape(one.input_shape) for end in random_box(one, seed))
    x = samples(lower.flatten().numpy(), upper.flatten().numpy(), one, SAMPLES, seed)
    gaps = (evaluate(one, x) - evaluate(two, x)).abs().flatten(1).amax(0).numpy()
    if rng.random() < 0.5:
        most = float(gaps.max() * rng.uniform(0.5, 3)) + 1e-3
        verdict = within(one, two, InputSet.of(lower, upper), most, limit(rng))
        false = isinstance(verdict, Holds) and bool(gaps.max() > most)
        return type(verdict).__name__.lower(), f"seed {seed}: within {most}, {gaps.max()} met" if false else None
    found = equal(one, two, InputSet.of(lower, upper), Patience(0.2, limit(rng)))
    if not np.isfinite(found.bound).all():
        return "bound", f"seed {seed}: no bound, which intervals give at once"
    scale = 1 + float(evaluate(one, x).abs().max())
    false = bool((gaps > found.bound + SPARE * scale).any() or found.met > found.largest + SPARE * scale)
    return "bound", f"seed {seed}: bound {found.bound}, {gaps} met" if false else None


def _moved(graph: Graph, rng: np.random.Generator, by: float) -> Graph:
    seed = int(rng.integers(1 << 30))
    generator = torch.Generator().manual_seed(seed)

    def moved(op: object) -> object:
        new = type(op).__new__(type(op))
        for name, value in vars(op).items():
            floats = isinstance(value, torch.Tensor) and value.is_floating_point()
            noise = torch.randn(value.shape, generator=generator, dtype=value.dtype) if floats else 0.0
            object.__setattr__(new, name, value * (1 + by * noise) if floats else value)
        return new

    return Graph(tuple(type(n)(n.name, moved(n.op), n.inputs, n.shape) for n in graph.nodes))  # pyright: ignore[reportArgumentType]


def smaller(seed: int) -> tuple[str, str | None]:
    """Compress twice, the first time with a limit; the journal that it leaves must not mislead the second."""
    rng = np.random.default_rng(seed)
    graph = dense(
        seed % 50, ("inactive", "active", "constant")[: int(rng.integers(1, 4))] if seed % 2 else (), (8, 6), 3
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_onnx(graph, folder / "net.onnx")
        lower, upper = (torch.full(graph.input_shape, end, dtype=torch.float64) for end in (0.0, 1.0))
        x = samples(lower.flatten().numpy(), upper.flatten().numpy(), graph, SAMPLES, seed)
        y = evaluate(read_logits(folder / "net.onnx"), x)
        certificate = folder / "proof.npz" if rng.random() < 0.3 else None
        for patience in (Patience(0.1, limit(rng)), Patience(0.05)):
            report = compress_file(
                folder / "net.onnx", folder / "small.onnx", InputSet.of(lower, upper), patience, None, certificate
            )
            gap = float((evaluate(read_logits(folder / "small.onnx"), x) - y).abs().max())
            if gap > report.bound + 1e-5 * (1 + float(y.abs().max())):
                return "compressed", f"seed {seed}: bound {report.bound}, {gap} met"
            left = [path.name for path in folder.rglob(".*")]
            if left:
                return "compressed", f"seed {seed}: {left} left behind"
    return "compressed", None


KINDS: tuple[Callable[[int], tuple[str, str | None]], ...] = (one_box, many_boxes, difference, smaller)
OFTEN = (0, 0, 1, 1, 2, 2, 2, 3)  # which kind, one case after another


def attack(seed: int, count: int) -> Attack:
    """End searches at random moments."""
    met = Attack()
    for case in range(count):
        kind, number = KINDS[OFTEN[case % len(OFTEN)]], seed * 100_000 + case
        try:
            outcome, fault = kind(number)
        except Exception as error:  # an answer is due, whenever time is up
            outcome, fault = "error", f"{kind.__name__}, seed {number}: {type(error).__name__}: {error}"
        met.tried += 1
        met.outcomes[f"{kind.__name__.replace('_', ' ')}: {outcome}"] += 1
        met.faults += [] if fault is None else [fault]
        if signal.getitimer(signal.ITIMER_REAL)[0] or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
            met.faults.append(f"{kind.__name__}, seed {number}: the timer was left wound")
        if not torch.is_grad_enabled():
            met.faults.append(f"{kind.__name__}, seed {number}: gradients were left off")
    return met
