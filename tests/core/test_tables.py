"""Reading tables: every format gives back what was put in; damaged and foreign files are refused by name."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prediction_tables import same, sample
from surefoot.core.errors import FileError, InputError, Taken
from surefoot.core.predictions import save_predictions
from surefoot.core.tables import iter_predictions, load_predictions, pieces_of, read_piece


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read(tmp_path, suffix, kind, split, dtype):
    predictions = sample(kind, split=split, dtype=dtype)
    save_predictions(predictions, tmp_path / f"p{suffix}")
    loaded = load_predictions(tmp_path / f"p{suffix}")
    same(loaded, predictions)
    assert loaded.scores.dtype == dtype
    assert loaded.class_names == ("a", "b", "c")
    assert loaded.provenance == {"model": "mlp"}


def test_a_folder_of_parquet_is_one_table_read_in_batches(tmp_path):
    predictions = sample()
    for i in range(4):
        save_predictions(predictions.rows(np.arange(5 * i, 5 * i + 5)), tmp_path / "preds" / f"{i}.parquet")
    same(load_predictions(tmp_path / "preds"), predictions)
    batches = list(iter_predictions(tmp_path / "preds", values=6))
    assert [b.n for b in batches] == [2, 2, 1] * 4


def test_variable_lists_and_doubles_as_others_write_them(tmp_path):
    predictions = sample(split=False)
    columns = {"logits": predictions.scores.astype(float).tolist(), "label": predictions.labels.tolist()}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    assert np.allclose(load_predictions(tmp_path / "p.parquet").scores, predictions.scores)


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(12)), stem=st.sampled_from(["prob_", "logit_", "Probs-", "p"]))
def test_columns_of_classes_may_stand_in_any_order(tmp_path, order, stem):
    """Also in that of a program that sorts names: prob_0, prob_1, prob_10, prob_11, prob_2."""
    scores = np.random.default_rng(0).dirichlet(np.ones(12), size=3) * (10 if stem == "logit_" else 1)
    rows = [",".join([*(repr(float(row[j])) for j in order), "3"]) for row in scores]
    names = ",".join([*(f"{stem}{j}" for j in order), "label"])
    (tmp_path / "p.csv").write_text("\n".join([names, *rows]) + "\n")
    loaded = load_predictions(tmp_path / "p.csv", kind="probs" if stem == "p" else None)
    assert np.array_equal(loaded.scores, scores)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("prob_0,prob_1,prob_13", "needed as prob_0 to prob_2, in any order, got prob_0, prob_1, prob_13"),
        ("prob_1,prob_2,prob_3", "needed as prob_0 to prob_2"),
        ("prob_0,prob_1,prob_01", "needed as prob_0 to prob_2"),
        ("prob_0,prob_1,prob_other", "needed as prob_0 to prob_2"),
        ("prob_0,prob_1,prob_1", "'prob_1' is there twice"),
    ],
)
def test_columns_that_do_not_name_each_class_once_are_refused(tmp_path, columns, said):
    (tmp_path / "p.csv").write_text(f"{columns},label\n0.5,0.25,0.25,1\n")
    with pytest.raises(InputError, match=said):
        load_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize(
    "name", ["prob_{} ", " prob_{}", "prob_{}.0", "prob[{}]", "prob({})", "Prob_[{}]", "probs_{}.00"]
)
def test_a_class_is_told_by_its_number_in_whatever_form(tmp_path, name):
    names = ",".join([*(name.format(j) for j in (2, 0, 1)), " label"])
    (tmp_path / "p.csv").write_text(f"{names}\n0.500,0.30,0.2,0\n0.125,0.875,0.000,1\n")
    loaded = load_predictions(tmp_path / "p.csv")
    assert loaded.scores.tolist() == [[0.3, 0.2, 0.5], [0.875, 0.0, 0.125]]
    assert loaded.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "name", ["prob_{}.5", "prob{{{}}}", "prob<{}>", "prob_-{}", "prob_{}_", "prob:{}:", "prob_{}.0.5"]
)
def test_a_number_in_a_form_that_is_not_known_is_refused(tmp_path, name):
    names = ",".join(name.format(j) for j in (2, 1, 3))
    (tmp_path / "p.csv").write_text(f"{names},label\n0.5,0.25,0.25,1\n")
    with pytest.raises(InputError, match=r"3 columns of scores are needed as prob[_-]?0 to prob[_-]?2"):
        load_predictions(tmp_path / "p.csv")


def test_the_decimals_of_columns_with_spaces_are_seen(tmp_path):
    (tmp_path / "p.csv").write_text("prob_0 , prob_1,label\n0.500000,0.500000,0\n1.000000,0.000000,1\n")
    assert load_predictions(tmp_path / "p.csv").resolution == 1e-6


def test_columns_that_are_called_after_classes_stay_in_their_order(tmp_path):
    (tmp_path / "p.csv").write_text("prob_dog,prob_cat2,label\n0.75,0.25,1\n")
    assert load_predictions(tmp_path / "p.csv").scores.tolist() == [[0.75, 0.25]]


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


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_truncated_files_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    save_predictions(sample(n=200), path)
    whole = path.read_bytes()
    for size in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises((FileError, InputError), match=r"p\."):
            load_predictions(path)


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "p.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "p.parquet").write_text("not parquet at all")
    np.savez(tmp_path / "o.npz", logits=np.array([{"a": 1}], dtype=object), labels=np.zeros(1))
    np.savez(tmp_path / "w.npz", weights=np.zeros(3))
    pq.write_table(pa.table({"logits": [[1.0, 2.0], [1.0]], "label": [0, 1]}), tmp_path / "ragged.parquet")
    pq.write_table(pa.table({"logits": [[1.0, None]], "label": [0]}), tmp_path / "null.parquet")
    pq.write_table(pa.table({"logits": [1.0], "label": [0]}), tmp_path / "flat.parquet")
    pq.write_table(pa.table({"logits": [[1.0, 2.0]], "label": ["cat"]}), tmp_path / "names.parquet")
    pq.write_table(
        pa.table({"logits": pa.array([], pa.list_(pa.float32())), "label": pa.array([], pa.int64())}),
        tmp_path / "none.parquet",
    )
    names = ["p.txt", "empty", "p.parquet", "o.npz", "w.npz", "ragged.parquet", "null.parquet", "flat.parquet"]
    for name in [*names, "names.parquet", "none.parquet", "missing.npz"]:
        with pytest.raises((FileError, InputError), match=name.replace(".", r"\.")):
            load_predictions(tmp_path / name)


def test_a_column_of_groups_is_read_from_every_format(tmp_path):
    predictions, site = sample(n=4, split=False), np.array(["a", "b", "a", "c"])
    np.savez(tmp_path / "t.npz", logits=predictions.scores, labels=predictions.labels, site=site)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(predictions.scores.ravel()), 3)
    table = pa.table({"logits": flat, "label": pa.array(predictions.labels), "site": pa.array(site.tolist())})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = [
        ",".join(map(str, [*row, y, s])) for row, y, s in zip(predictions.scores, predictions.labels, site, strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["logit_0,logit_1,logit_2,label,site", *rows]) + "\n")
    for name in ("t.npz", "t.parquet", "t.csv"):
        loaded = load_predictions(tmp_path / name, by="site")
        part = loaded.rows(np.array([3, 0]))
        assert loaded.group is not None
        assert part.group is not None
        assert loaded.group.tolist() == site.tolist()
        assert part.group.tolist() == ["c", "a"]
        assert load_predictions(tmp_path / name).group is None or name == "t.npz"
        with pytest.raises(InputError, match=r"there is no (column|array) 'place'"):
            load_predictions(tmp_path / name, by="place")


def test_batches_of_lists_of_any_length_are_as_small_as_of_fixed_ones(tmp_path):
    scores = np.zeros((2000, 100), dtype=np.float32)
    column = pa.ListArray.from_arrays(pa.array(np.arange(2001) * 100, type=pa.int32()), pa.array(scores.ravel()))
    pq.write_table(pa.table({"logits": column, "label": np.zeros(2000, dtype=int)}), tmp_path / "t.parquet")
    (piece,) = pieces_of(tmp_path / "t.parquet")
    assert [batch.n for batch in read_piece(piece, values=50_000)] == [500, 500, 500, 500]
