"""Results as what JSON can hold."""

import json
from dataclasses import dataclass

import numpy as np

from surefoot.core.plain import plain


@dataclass(frozen=True)
class Inner:
    value: float | np.floating
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    by: dict[int, float]


def test_results_go_through_json_unchanged() -> None:
    value = plain(Outer(Inner(np.float32(0.5), ("a", "b")), {3: 1e300, 4: np.float64(2.0)}))
    assert value == {"inner": {"value": 0.5, "names": ["a", "b"]}, "by": {"3": 1e300, "4": 2.0}}
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert type(value["inner"]["value"]) is float


def test_what_is_no_number_becomes_null() -> None:
    assert plain([float("nan"), np.float64("inf"), -float("inf"), 1.0]) == [None, None, None, 1.0]
    assert plain({"whole": 3, "word": "nan", "none": None}) == {"whole": 3, "word": "nan", "none": None}
