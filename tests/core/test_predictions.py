"""The Predictions value: its checks, parts, and what it leads to; files are written whole or not at all."""

import contextlib

import numpy as np
import pytest

from prediction_tables import sample
from surefoot.core.errors import InputError, Taken
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions


def test_split_codes_of_whole_numbers():
    predictions = sample()
    coded = Predictions(predictions.scores, "logits", predictions.labels, (predictions.split == "test").astype(int))
    assert coded.split is not None
    assert predictions.split is not None
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


@pytest.mark.parametrize("split", [["Validation", "TEST", " test", "VAL"], [0.0, 1.0, 1.0, 0.0]])
def test_parts_are_known_whatever_their_capitals_and_their_type(split):
    named = isinstance(split[0], str)
    with pytest.warns(Taken, match="is taken for") if named else contextlib.nullcontext():
        table = Predictions(np.arange(8.0).reshape(4, 2), "logits", np.zeros(4, int), np.array(split))
    assert table.split is not None
    assert table.split.tolist() == ["validation", "test", "test", "validation"]
    assert table.part("Test").n == 2
    with pytest.raises(InputError, match="code nan"):
        Predictions(np.zeros((1, 2)), "logits", np.zeros(1, int), np.array([np.nan]))


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_resolution_above_the_values_is_refused(tmp_path, suffix):
    thirds = np.full((4, 3), 1 / 3)
    with pytest.raises(InputError, match=r"resolution 0\.5 is above the probability 0\.333"):
        Predictions(thirds, "probs", np.zeros(4, int), resolution=0.5)
    table = Predictions(np.array([[0.7, 0.3 - 1e-5, 1e-5], [0.99, 0.01, 0.0]]), "probs", np.zeros(2, int),
                        resolution=1e-300, zeros_count_as=0.01)  # fmt: skip
    save_predictions(table, tmp_path / f"t{suffix}")
    read = load_predictions(tmp_path / f"t{suffix}")
    assert (read.floor, read.zeros_count_as) == (0.01, 0.01)
    assert np.exp(read.logits())[0].tolist() == pytest.approx(table.scores[0].tolist())  # nothing is raised to it
    assert np.exp(read.logits()[1, 2]) == pytest.approx(0.01)
