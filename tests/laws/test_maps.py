"""Whoever applies a legal calibrator says the same, and none takes an illegal one."""

import numpy as np
import pytest

from fuzz.maps import attack
from random_maps import ILLEGAL
from surefoot.core.errors import InputError
from surefoot.recalibrate.checks import check_steps
from surefoot.recalibrate.files import steps_from_plain


@pytest.mark.parametrize("seed", range(3))
def test_all_who_apply_a_map_agree(seed: int) -> None:
    met = attack(seed, 60)
    assert met.tried == 60
    assert not met.faults, met.faults[:3]


@pytest.mark.parametrize("what", ILLEGAL)
@pytest.mark.parametrize("k", [2, 3, 12])
def test_illegal_steps_are_refused_in_one_line(what: str, k: int) -> None:
    steps = ILLEGAL[what](np.random.default_rng(k), k)
    with pytest.raises(InputError) as raised:
        check_steps(steps_from_plain(steps), k)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400
