"""Reading tables: every format gives back what was put in; damaged and foreign files are refused by name."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prediction_tables import same, sample
from surefoot.core.errors import FileError, InputError
from surefoot.core.predictions import save_predictions
from surefoot.core.tables import load_predictions, pieces_of, read_piece


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
    batches = [b for piece in pieces_of(tmp_path / "preds") for b in read_piece(piece, values=6)]
    assert [b.n for b in batches] == [2, 2, 1] * 4


def test_variable_lists_and_doubles_as_others_write_them(tmp_path):
    predictions = sample(split=False)
    columns = {"logits": predictions.scores.astype(float).tolist(), "label": predictions.labels.tolist()}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    assert np.allclose(load_predictions(tmp_path / "p.parquet").scores, predictions.scores)


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
