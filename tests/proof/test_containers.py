"""A header and arrays come back from both containers as they were; what is none is an error, never another content."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutations import Held
from surefoot.proof.containers import (
    TYPES,
    as_list,
    as_object,
    as_text,
    as_whole,
    check_keys,
    unpacked,
)


@given(st.integers(0, 2**32), st.sampled_from([".npz", ".json"]))
def test_what_is_packed_is_unpacked(seed: int, suffix: str) -> None:
    rng = np.random.default_rng(seed)
    arrays = {
        f"{n}/x": (10 * rng.normal(size=rng.integers(0, 4, rng.integers(0, 4)))).astype(kind)
        for n, kind in enumerate(TYPES.values())
    }
    header, found = unpacked(Held({"a": [1, None, "x"]}, arrays).packed(suffix))
    assert header == {"a": [1, None, "x"]}
    assert found.keys() == arrays.keys()
    for name, x in arrays.items():
        assert found[name].dtype == x.dtype
        assert np.array_equal(found[name], x)


@given(st.integers(0, 2**32))
def test_a_text_that_is_cut_off_is_an_error(seed: int) -> None:
    content = Held({"a": 1}, {"x": np.arange(3.0)}).packed(".json")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid|line"):
        unpacked(content[: 1 + seed % (len(content) - 1)])


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2, "arrays": {}}', '{"a": NaN, "arrays": {}}', '{"a": 1}', '{"arrays": []}']
)
def test_texts_with_a_name_twice_or_no_number_or_no_arrays_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match=r"twice|no number|no object"):
        unpacked(text.encode())


@pytest.mark.parametrize(
    "change", [{"type": "float128"}, {"shape": [2]}, {"shape": [-1]}, {"shape": 1}, {"base64": "?"}, {"more": 1}]
)
def test_arrays_of_a_text_are_whole(change: dict[str, Any]) -> None:
    array = {"type": "float64", "shape": [1], "base64": "AAAAAAAAAAA="}
    assert unpacked(json.dumps({"arrays": {"x": array}}).encode())[1]["x"] == [0.0]
    with pytest.raises(ValueError, match="array"):
        unpacked(json.dumps({"arrays": {"x": array | change}}).encode())


def test_entries_are_what_they_must_be() -> None:
    found = as_object({"a": 1}, "x"), as_list([1], "x", 1), as_whole(7, "x"), as_text("é", "x")
    assert found == ({"a": 1}, [1], 7, "é")
    check_keys({"a": 1, "b": 2}, {"a"}, "x", frozenset({"b", "c"}))
    for refused in (
        lambda: as_object([], "x"),
        lambda: as_list({}, "x"),
        lambda: as_list([1], "x", 2),
        lambda: as_whole(True, "x"),
        lambda: as_whole(1.0, "x"),
        lambda: as_text("\n", "x"),
        lambda: as_text(1, "x"),
        lambda: check_keys({"b": 1}, {"a"}, "x", frozenset({"b"})),
        lambda: check_keys({"a": 1, "d": 1}, {"a"}, "x", frozenset({"b"})),
    ):
        with pytest.raises(ValueError, match="x"):
            refused()
