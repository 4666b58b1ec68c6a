"""The catalogue of methods: every name answers, old names still do, `auto` always has a row."""

import numpy as np
import pytest

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, robustness
from surefoot.verify.catalog import AUTO, METHODS, RENAMED, find_method, stages_of
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.search import Search


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_old_names_find_the_same_method(old: str, new: str) -> None:
    assert find_method(old) is METHODS[new]
    with pytest.raises(InputError, match="there is no method"):
        find_method(old + "?")


@pytest.mark.parametrize("name", METHODS)
def test_what_it_says_of_itself_is_true(name: str) -> None:
    """A robust point: whoever proves it speaks of float32, and leaves a proof, only if the entry says so."""
    if name in ("curvature", "neuron-hulls"):
        pytest.skip("for some networks alone: test_curved.py, test_hull_splitting.py")
    network = Network.of(random_network(3))
    x = np.full(network.inputs, 0.5)
    logits = network.run(x[None].astype(np.float32))[0]
    query = robustness(InputSet(x, x), int(logits.argmax()), network.outputs)
    verdict = verify(network, query, 20.0, name)
    assert isinstance(verdict, Holds)
    assert METHODS[name].float32 or not verdict.float32
    if METHODS[name].certifies:
        proven = verify(network, query, 20.0, name, prove=True)
        assert isinstance(proven, Holds)
        assert proven.proof is not None
    else:
        with pytest.raises(InputError, match="writes no certificate"):
            verify(network, query, 20.0, name, prove=True)


@pytest.mark.parametrize("prove", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_auto_has_a_row_for_every_search(seed: int, prove: bool) -> None:
    network = Network.of(random_network(seed, products=seed % 2 == 1))
    query = robustness(InputSet(np.zeros(network.inputs), np.ones(network.inputs)), 0, network.outputs)
    search = Search(network, query, 1.0, prove=prove)
    rows = [stages for _, condition, stages in AUTO if condition(search)]
    assert rows
    assert stages_of(METHODS["auto"], search)[-len(rows[0]) :] == list(rows[0])
