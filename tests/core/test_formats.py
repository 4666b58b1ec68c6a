"""Tables in one file: what is read of .npz, .csv and .npy, and what is refused and why."""

import numpy as np
import pytest

from prediction_tables import same, sample
from surefoot.core.errors import InputError, Taken
from surefoot.core.predictions import save_predictions
from surefoot.core.tables import load_predictions


def test_csv_with_named_columns_or_a_named_kind(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("label,logit_0,logit_1\n0,1.5,-2\n1,0.25,3\n")
    loaded = load_predictions(path)
    assert loaded.kind == "logits"
    assert loaded.scores.tolist() == [[1.5, -2.0], [0.25, 3.0]]
    path.write_text("cat,dog,label,split\n0.9,0.1,0,val\n0.5,0.5,1,test\n")
    with pytest.raises(InputError, match=r"columns prob_0, prob_1, ... or .*; there are: cat, dog, label, split"):
        load_predictions(path)
    loaded = load_predictions(path, kind="probs")
    assert loaded.parts == ("test", "validation")
    path.write_text("label,logit_0,logit_1\n0,1.5,\n")
    with pytest.raises(InputError, match="'logit_1' has no value in row 0"):
        load_predictions(path)


def test_the_decimals_of_columns_with_spaces_are_seen(tmp_path):
    (tmp_path / "p.csv").write_text("prob_0 , prob_1,label\n0.500000,0.500000,0\n1.000000,0.000000,1\n")
    assert load_predictions(tmp_path / "p.csv").resolution == 1e-6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prob_0,prob_1,label\n", "it has no rows"),
        ("prob_0;prob_1;label\n0.5;0.5;0\n", "divided by ';': commas are needed"),
        ("prob_0,prob_1,label\n50,50,0\n99,1,1\n", "these look like percent: divide them by 100"),
        ("prob_0,prob_1,label\n" + "0.5,0.5,0\n" * 9 + "0.9,1.5,0\n", r"row 9 .*the other rows are.*\(line 11 of"),
        ("prob_0,prob_1,label\n" + "0.5,0.5,0\n" * 9 + "-0.1,1.1,0\n", r"row 9 .*no probability is negative"),
        ("prob_0,prob_1,label\n0.9,0.8,0\n0.1,0.3,0\n", "probabilities of independent labels"),
        ("prob_0,prob_1,label\n3,-2,0\n1,4,0\n", "look like logits: .* the columns logit_0"),
        ("prob_0,prob_1,label\n0.5,0.5,1\n0.5,0.5,cat\n", r"labels row 1 is 'cat'.*\(line 3 of the file\)"),
    ],
)
def test_a_csv_that_is_none_of_predictions_is_told_why_and_where(tmp_path, text, said):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        load_predictions(tmp_path / "p.csv")
    assert ("softmax" in str(refused.value)) == ("look like logits" in said)


def test_what_is_not_for_a_file_or_not_in_it_is_named(tmp_path):
    predictions = sample(split=False)
    np.save(tmp_path / "y.npy", predictions.labels)
    save_predictions(predictions, tmp_path / "p.npz")
    with pytest.raises(InputError, match=r"labels of their own .* this file has its own"):
        load_predictions(tmp_path / "p.npz", tmp_path / "y.npy")
    np.savez(tmp_path / "v.npz", labels_val=predictions.labels, logits_test=predictions.scores)
    with pytest.raises(InputError, match=r"no array 'probs_val'; there are: labels_val, logits_test"):
        load_predictions(tmp_path / "v.npz")
    (tmp_path / "z.csv").write_text("logit_0,logit_1,label\n0.5,0.5,0\n")
    with pytest.raises(InputError, match="these are probabilities") as refused:
        load_predictions(tmp_path / "z.csv")
    assert "surefoot.core" not in str(refused.value)  # nothing that a command line can do
    np.savez(tmp_path / "s.npz", logits=np.zeros((3, 2)), labels=np.array([[0, 1], [1, 1], [0, 0]]))
    with pytest.warns(Taken, match="3 rows x 2 labels are read as 6 rows of two classes, no and yes"):
        assert load_predictions(tmp_path / "s.npz").n == 6


def test_npy_pair(tmp_path):
    predictions = sample(split=False)
    np.save(tmp_path / "z.npy", predictions.scores)
    np.save(tmp_path / "y.npy", predictions.labels)
    same(load_predictions(tmp_path / "z.npy", tmp_path / "y.npy", "logits"), predictions)
    with pytest.raises(InputError, match="--labels"):
        load_predictions(tmp_path / "z.npy")
    with pytest.raises(InputError, match="--scores"):
        load_predictions(tmp_path / "z.npy", tmp_path / "y.npy")


def test_npz_with_an_array_a_part(tmp_path):
    predictions = sample()
    val, test = predictions.part("validation"), predictions.part("test")
    arrays = {
        "logits_val": val.scores,
        "labels_val": val.labels,
        "logits_test": test.scores,
        "labels_test": test.labels,
    }
    np.savez(tmp_path / "p.npz", allow_pickle=False, **arrays)
    same(load_predictions(tmp_path / "p.npz"), predictions)
