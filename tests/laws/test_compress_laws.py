"""Every rewrite obeys the same laws: the same answers over the domain, fewer units, and what is planted is found."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import first
from networks import random_box, random_network
from planted import box, dense, largest_gap
from surefoot.compress.equal import equal
from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.interior import inside
from surefoot.compress.rewrites import REWRITES
from surefoot.compress.stability import stability
from surefoot.compress.transform import compress
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, apply, evaluate, fold
from surefoot.graph.ops import Linear, Relu
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.proof.equality import check_equal
from surefoot.proof.question import certificate_of_difference
from surefoot.spec.input_set import InputSet, Origin

KINDS = ("inactive", "active", "constant", "proportional", "dependent", "unused")
FOUND_BY = {
    "inactive": "inactive", "constant": "constant", "proportional": "proportional", "dependent": "dependent",
    "unused": "unused",
}  # fmt: skip


@given(
    st.integers(0, 10_000),
    st.lists(st.sampled_from(KINDS), max_size=4, unique=True),
    st.sampled_from([(12,), (12, 10), (9, 9, 9)]),
)
def test_answers_stay_and_equality_is_proven(seed: int, kinds: list[str], hidden: tuple[int, ...]) -> None:
    graph = dense(seed, tuple(kinds), hidden)
    made = compress(graph, box(graph), seconds=0.2)
    assert largest_gap(graph, made.graph) < 1e-10
    found = equal(graph, made.graph, box(graph), seconds=0.2)
    assert found.met <= found.largest or not np.isfinite(found.largest)
    for kind in kinds:
        if kind in FOUND_BY and kind != "dependent":
            gone = made.removed[FOUND_BY[kind]] + made.removed["fold"]
            assert gone or made.removed["inactive"], (kind, made.log)


@pytest.mark.parametrize("seed", first(8, range(20)))
def test_equality_is_proven_where_all_signs_are(seed: int) -> None:
    graph = dense(seed, KINDS, (14, 14))
    made = compress(graph, box(graph))
    found = equal(graph, made.graph, box(graph))
    assert found.largest < 1e-9
    assert found.met <= found.largest
    changed = made.graph.to(torch.float32).to(torch.float64)
    rounded = equal(graph, changed, box(graph))
    assert found.largest < rounded.largest < 1e-4
    assert rounded.met <= rounded.largest


@pytest.mark.parametrize("name", REWRITES)
@pytest.mark.parametrize("seed", range(15))
def test_a_rewrite_alone_keeps_its_segment(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 14)), int(rng.integers(2, 5))
    before = rng.normal(size=(n, d)) * rng.choice([0, 1], size=(n, 1), p=[0.2, 0.8])
    before[n // 2] = 2.5 * before[0]
    offset, after = rng.normal(size=n), rng.normal(size=(3, n)) * rng.choice([0, 1], size=(1, n), p=[0.2, 0.8])
    offset[n // 2] = 2.5 * offset[0]
    reach = np.abs(before).sum(1)
    signs = rng.choice([-1, 0, 1], size=n)
    signs[n // 2] = signs[0] = 0
    offset = np.where(signs > 0, reach + 0.2, np.where(signs < 0, -reach - 0.2, offset))
    layer = HiddenLayer(before, offset, after, rng.normal(size=3), signs, np.stack([-np.ones(d), np.ones(d)]))
    made = REWRITES[name](layer)
    x = rng.uniform(-1, 1, size=(500, d))
    x[:100] = np.sign(x[:100])
    assert np.allclose(made(x), layer(x), atol=1e-9 * (1 + np.abs(layer(x)).max()))
    assert made.units <= layer.units
    z = x @ made.before.T + made.bias
    assert (z[:, made.signs > 0] >= 0).all()
    assert REWRITES[name](made).units == made.units  # once is enough


@pytest.mark.parametrize("seed", first(12, range(30)))
def test_no_stable_unit_ever_shows_the_other_sign(seed: int) -> None:
    graph = dense(seed, KINDS[: seed % 6], (10, 8, 8))
    found = stability(graph, box(graph), seconds=0.5)
    x = inside(box(graph), graph.input_shape, 5000, seed=1)
    values = fold(graph, x, lambda node, inputs: apply(node.op, inputs))
    for at, signs in found.signs.items():
        z = values[graph.nodes[at].inputs[0]]
        assert bool((z[:, signs > 0] >= -1e-12).all())
        assert bool((z[:, signs < 0] <= 1e-12).all())
    assert sum(found.counts()) == sum(n.shape[0] for n in graph.nodes if isinstance(n.op, Relu))


@pytest.mark.parametrize("seed", range(8))
def test_certificates_are_checked_and_nothing_else_passes(seed: int) -> None:
    graph = dense(seed, KINDS, (12, 12))
    made = compress(graph, box(graph))
    proofs = stability(graph, box(graph)), stability(made.graph, box(graph))
    proofs = proofs[0].proof(), proofs[1].proof()
    held = certificate_of_difference((graph, made.graph), proofs)
    assert check_equal(held, graph, made.graph).max() < 1e-9
    other = dense(seed + 100, KINDS, (12, 12))
    wrong = compress(other, box(graph)).graph
    with pytest.raises(InputError, match=r"another network|malformed"):  # of other sizes, or of other numbers
        check_equal(held, graph, wrong)
    try:
        bound = check_equal(certificate_of_difference((graph, wrong), proofs), graph, wrong)
    except InputError:
        return
    x = inside(box(graph), graph.input_shape, 2000, seed=2)
    assert bool((torch.from_numpy(bound) >= (evaluate(graph, x) - evaluate(wrong, x)).abs().amax(0)).all())


def test_domains_that_are_none_are_refused() -> None:
    graph = dense(0)
    low, high = box(graph).lower, box(graph).upper
    with pytest.raises(InputError, match="bounded"):
        stability(graph, InputSet(high * 1.7e308, high * 1.7e308))
    with pytest.raises(InputError, match="does not fit"):
        stability(graph, InputSet(low[:2], high[:2]))
    along = replace(box(graph), origin=Origin(low, np.eye(len(low))))
    with pytest.raises(InputError, match="coordinates"):
        stability(graph, along)


def judged(graph: Graph, domain: InputSet, seed: int) -> int:
    """Compress, compare with sampling and with the proven bound; return how many units went."""
    made = compress(graph, domain, seconds=0.1)
    x = inside(domain, graph.input_shape, 600, seed)
    y, z = evaluate(graph, x), evaluate(made.graph, x)
    gap = float((y - z).abs().max())
    assert gap <= 1e-9 * (1 + float(y.abs().max())), (seed, made.log, gap)
    rounded = made.graph.to(torch.float32).to(torch.float64)
    found = equal(pools_as_relus(graph), pools_as_relus(rounded), domain, seconds=0.1)
    met = float((y - evaluate(rounded, x)).abs().max())
    assert max(met, found.met) <= found.largest + 1e-12 * (1 + float(y.abs().max())), (seed, met, found.largest)
    return sum(made.removed.values())


def any_network(seed: int) -> Graph:
    """A random network of every operation, or a dense one with planted units and sparse weights."""
    if seed % 2:
        return random_network(seed)
    rng = np.random.default_rng(seed)
    kinds = tuple(rng.permutation(KINDS)[: rng.integers(0, 5)].tolist())
    hidden = tuple(int(n) for n in rng.integers(8, 14, int(rng.integers(1, 4))))
    graph = dense(seed, kinds, hidden, int(rng.integers(1, 6)))
    for node in graph.nodes:
        if isinstance(node.op, Linear) and rng.random() < 0.5:
            node.op.weight[torch.from_numpy(rng.random(tuple(node.op.weight.shape)) < 0.6)] = 0.0
    return graph


@pytest.mark.parametrize("start", first(1, range(0, 60, 20)))
def test_no_rewrite_is_wrong(start: int) -> None:
    gone = 0
    for seed in range(start, start + 20):
        graph = any_network(seed)
        gone += judged(graph, InputSet(*random_box(graph, seed)), seed)
    assert gone > 20


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_no_rewrite_is_wrong_in_thousands(part: int) -> None:
    for seed in range(1000 + 500 * part, 1500 + 500 * part):
        graph = any_network(seed)
        judged(graph, InputSet(*random_box(graph, seed)), seed)
