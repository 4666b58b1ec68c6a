"""Where the corrected readings and the reference's part."""

import numpy as np
import pytest

from surefoot.metrics import observe_classwise
from surefoot.metrics.classwise import read_classwise_ece, read_classwise_ece_parity
from surefoot.metrics.ranking import (
    observe_ranked_confidence,
    read_adaptive_ece,
    read_adaptive_ece_parity,
)


def test_parity_and_corrected_modes_part_where_the_spec_says():
    saturated = observe_ranked_confidence(np.ones(1000), np.arange(1000) < 800)
    assert read_adaptive_ece_parity(saturated) == 0
    assert read_adaptive_ece(saturated) == pytest.approx(0.2)
    probs = np.array([[0.7, 0.2, 0.1], [0.4, 0.6, 0.0]])
    tally = observe_classwise(probs, np.array([0, 1]))
    assert read_classwise_ece_parity(tally) == pytest.approx((0.3 + 0.4 + 0.2 + 0.4) / 2 / 2)
    assert read_classwise_ece(tally) == pytest.approx((0.3 + 0.4 + 0.2 + 0.4 + 0.1) / 3 / 2)
    tally = observe_classwise(np.array([[1.0, 0.0]]), np.array([1]))
    assert read_classwise_ece(tally) == 1.0
    assert read_classwise_ece_parity(tally) == 0.5  # the hit at exactly 0 is dropped
