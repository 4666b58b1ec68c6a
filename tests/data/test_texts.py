"""Texts: words, numbers, headers, a user's own table."""

import json
import lzma

import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.data import load_data
from surefoot.data.texts import encode, newsgroups, split_words, vocabulary_of


def test_words_are_numbered_by_how_often_they_are_used():
    texts = [split_words("B a. a? C-c"), split_words("a b c c")]
    vocabulary = vocabulary_of(texts)
    assert vocabulary == ("<pad>", "<unknown>", "c", "a", "b")
    assert vocabulary_of(texts, 4) == ("<pad>", "<unknown>", "c", "a")
    assert encode([["a", "new", "b", "c"]], vocabulary, 3).tolist() == [[3, 1, 4]]
    assert encode([["a"]], vocabulary, 3).tolist() == [[3, 0, 0]]


def message(group, i):
    return f"From: someone\nSubject: {group}\n\nthe body of {i} about {group[:3]}things"


@pytest.mark.parametrize("form", ["folders", "jsonl", "xz"])
def test_newsgroups_are_read_without_their_headers(tmp_path, form):
    rows = [
        {"split": split, "group": group, "id": str(i), "text": message(group, i)}
        for split, n in (("train", 20), ("test", 5))
        for group in ("alt.a", "sci.b")
        for i in range(n)
    ]
    if form == "folders":
        for row in rows:
            path = tmp_path / f"20news-bydate-{row['split']}" / row["group"] / row["id"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(row["text"], encoding="latin-1")
    else:
        lines = "\n".join(map(json.dumps, rows)).encode()
        suffix, content = (".xz", lzma.compress(lines)) if form == "xz" else ("", lines)
        (tmp_path / f"news.jsonl{suffix}").write_bytes(content)
    data = load_data("20news", folder=tmp_path)
    assert data.class_names == ("alt.a", "sci.b")
    assert [len(p) for p in (data.train, data.validation, data.test)] == [36, 4, 10]
    assert "someone" not in data.vocabulary
    assert "altthings" in data.vocabulary
    assert data.shape == (1000, len(data.vocabulary))


def test_damaged_newsgroups_are_refused(tmp_path):
    with pytest.raises(FileError, match="expected 20news-bydate-train"):
        newsgroups(folder=tmp_path)
    (tmp_path / "news.jsonl").write_text('{"split": "train", "group": "a"')
    with pytest.raises(FileError, match="cannot read 20 Newsgroups"):
        newsgroups(folder=tmp_path)


def table(tmp_path, lines):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_users_own_table_of_texts(tmp_path):
    rows = [f'"some words, {i}",{"no" if i % 2 else "yes"}' for i in range(60)]
    data = load_data(table(tmp_path, ["text,label", *rows]))
    assert data.class_names == ("no", "yes")
    assert len(data.train) + len(data.validation) + len(data.test) == 60
    divided = [f"{row},{'train' if i < 40 else 'test'}" for i, row in enumerate(rows)]
    data = load_data(table(tmp_path, ["text,label,split", *divided]))
    assert [len(p) for p in (data.train, data.validation, data.test)] == [36, 4, 20]


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (["text,kind", "a,b"], FileError, r"lacks the column\(s\) label"),
        (["text,label", "a,b", ",b"], InputError, "row 1 has no text"),
        (["text,label", "a,b", "c,b"], InputError, "at least two are needed"),
        (["text,label,split", "a,b,train", "c,d,dev"], InputError, "a split is train or test"),
        (["text,label,split", "a,b,train", "c,d,train"], InputError, "rows of train and of test"),
        (["text,label", '"a,b'], FileError, "cannot read"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, lines, error, message):
    with pytest.raises(error, match=message):
        load_data(table(tmp_path, lines))
