"""Pairs of random polynomial networks: written otherwise, moved by one unit in the last place of a weight, or crafted
to differ by what vanishes at the primes and points of a fixed seed; answers are judged by exact coefficients.
"""

import numpy as np

from fuzz import Attack
from random_polynomials import Plan, build, coefficients, plan, rewritten, tensor
from surefoot.compress.finite_field import same_polynomial
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, ElementwiseAffine, Linear, Mul

CASES = 5_000
BEFORE = "160 of 480: every crafted pair was called the same"


def attack(seed: int, count: int) -> Attack:
    """Draw pairs, and ask whether they are the same polynomial."""
    rng, met = np.random.default_rng(seed), Attack()
    for case in range(count):
        met.tried += 1
        inputs, steps = plan(rng)
        first = build(inputs, steps)
        kind = ("rewritten", "moved", "crafted")[case % 3]
        if kind == "rewritten":
            second = rewritten(rng, inputs, steps)
        elif kind == "moved":
            second = build(inputs, moved(rng, steps))
        else:
            second = build(inputs, crafted(rng, steps, inputs, first.output_shape[0]))
        _judge(kind, first, second, met)
    return met


def _judge(kind: str, first: Graph, second: Graph, met: Attack) -> None:
    truth = coefficients(first) == coefficients(second)
    answer = same_polynomial(first, second)
    if answer.same != truth:
        met.faults.append(f"{kind}: said {'the same' if answer.same else 'different'}, which is wrong: {first.nodes}")
    elif answer.same and not 0 <= answer.error <= 1e-18:
        met.faults.append(f"{kind}: the same, wrong with probability {answer.error}")
    met.outcomes[f"{kind}, {'the same' if truth else 'different'}"] += 1


def moved(rng: np.random.Generator, steps: Plan) -> Plan:
    """Move one weight by one unit in its last place."""
    at = int(rng.choice([i for i, (op, _) in enumerate(steps) if isinstance(op, Linear)]))
    op, given = steps[at]
    assert isinstance(op, Linear)
    weight = op.weight.clone().numpy()
    place = tuple(rng.integers(weight.shape))
    weight[place] = np.nextafter(weight[place], rng.choice([-np.inf, np.inf]))
    return [*steps[:at], (Linear(tensor(weight), op.bias), given), *steps[at + 1 :]]


def crafted(rng: np.random.Generator, steps: Plan, inputs: int, outputs: int) -> Plan:
    """Add what vanishes at the primes and points of seed 0, which were everybody's.

    One of two: x^2 times the product of the primes, or the product of x_1 - r over the points' first numbers r.
    """
    drawn, last = fixed_draws(0, 4, inputs), len(steps)
    first = np.eye(inputs)[:1].repeat(outputs, 0)
    more: Plan = []
    if rng.random() < 0.5:
        more += [(Linear(tensor(first), None), (0,)), (Mul(), (last + 1, last + 1))]
        for prime, _ in drawn:
            more.append((ElementwiseAffine(tensor(np.full(outputs, float(prime)))), (last + len(more),)))
    else:
        more += [(Linear(tensor(first), tensor(np.full(outputs, -float(x[0])))), (0,)) for _, x in drawn]
        for i in (2, 3, 4):
            more.append((Mul(), (last + len(more) if i > 2 else last + 1, last + i)))
    return [*steps, *more, (Add(), (last, last + len(more)))]


def fixed_draws(seed: int, count: int, inputs: int) -> list[tuple[int, np.ndarray]]:
    """Draw primes and points as before: from a generator of a fixed seed."""
    rng, drawn = np.random.default_rng(seed), []
    while len(drawn) < count:
        n = int(rng.integers(2**30, 2**31)) | 1
        if all(pow(base, n - 1, n) == 1 for base in (2, 3, 5, 7, 11)):
            drawn.append((n, rng.integers(0, n, size=inputs)))
    return drawn
