"""The Predictions value: its checks, parts, and what it leads to; files are written whole or not at all."""

import numpy as np
import pytest

from prediction_tables import sample
from surefoot.core.errors import InputError
from surefoot.core.predictions import Predictions, save_predictions


def test_split_codes_of_whole_numbers():
    predictions = sample()
    coded = Predictions(predictions.scores, "logits", predictions.labels, (predictions.split == "test").astype(int))
    assert np.array_equal(coded.split, predictions.split)
    with pytest.raises(InputError, match="code 2"):
        Predictions(predictions.scores, "logits", predictions.labels, np.full(20, 2))


def test_probabilities_and_logits_lead_to_one_another():
    logits = sample("logits")
    assert np.allclose(logits.probs().sum(1), 1)
    probs = Predictions(logits.probs(), "probs", logits.labels)
    assert np.allclose(np.exp(probs.logits()), probs.scores)
    zero = Predictions(np.array([[1.0, 0.0]], dtype=np.float32), "probs", np.array([0]))
    assert np.isfinite(zero.logits()).all()
    rounded = Predictions(np.array([[0.999999, 1e-6, 0.0], [1.0, 0.0, 0.0]]), "probs", np.array([0, 1]))
    assert np.exp(rounded.logits())[1].tolist() == pytest.approx([1.0, 1e-6, 1e-6])


def test_unknown_part_is_refused():
    with pytest.raises(InputError, match="there are: test, validation"):
        sample().part("train")
    with pytest.raises(InputError, match="no split"):
        sample(split=False).part("test")


@pytest.mark.parametrize("name", ["p.csv", "p.pkl"])
def test_nothing_is_left_behind_when_writing_fails(tmp_path, name):
    with pytest.raises(InputError, match="written as"):
        save_predictions(sample(), tmp_path / name)
    assert not list(tmp_path.iterdir())
