"""Texts as rows of word numbers: 20 Newsgroups, and a user's own table."""

import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import csv

from surefoot.core.errors import FileError, InputError
from surefoot.data import hub
from surefoot.data.splits import Data, Part, divide, divide_published

LENGTH, WORDS = 1000, 20_000  # of the paper's code
PAD, UNKNOWN = "<pad>", "<unknown>"
_HUB = hub.Source("SetFit/20_newsgroups", "text", "label_text")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def split_words(text: str) -> list[str]:
    """Split a text into words, in small letters.

    >>> split_words("It's 2 o'clock, SIR!")
    ["it's", '2', "o'clock", 'sir']
    """
    return _WORD.findall(text.lower())


def vocabulary_of(texts: Iterable[Sequence[str]], words: int = WORDS) -> tuple[str, ...]:
    """Return padding, the unknown word, and the most frequent words (among equals, by the alphabet)."""
    counts = Counter(word for text in texts for word in text)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    return (PAD, UNKNOWN, *ordered[: words - 2])


def encode(texts: Sequence[Sequence[str]], vocabulary: Sequence[str], length: int) -> torch.Tensor:
    """Number the first `length` words of each text, (n, length); 0 is padding, 1 a word that is not known."""
    number = {word: i for i, word in enumerate(vocabulary)}
    rows = np.zeros((len(texts), length), dtype=np.int32)
    for row, text in zip(rows, texts, strict=True):
        ids = [number.get(word, 1) for word in text[:length]]
        row[: len(ids)] = ids
    return torch.from_numpy(rows)


def _encoded(
    train: tuple[Sequence[str], np.ndarray], test: tuple[Sequence[str], np.ndarray], length: int
) -> tuple[Part, Part, tuple[str, ...]]:
    words = [[split_words(text) for text in texts] for texts, _ in (train, test)]
    vocabulary = vocabulary_of(words[0])
    parts = [
        Part(encode(split, vocabulary, length), torch.from_numpy(labels.astype(np.int64)))
        for split, (_, labels) in zip(words, (train, test), strict=True)
    ]
    return parts[0], parts[1], vocabulary


def newsgroups(seed: int = 0, folder: Path | str | None = None, length: int = LENGTH) -> Data:
    """Return 20 Newsgroups, by date: headers stripped, 20,000 words, the first 1,000 of each message.

    From a folder with `20news-bydate-train/GROUP/ID` and `-test` as published, or JSON lines with `split`, `group` and
    `text` (`*.jsonl`, also .xz); or else from the hub.

    Raises:
        FileError: a file is missing or damaged.
    """
    if folder is None:
        messages = {split: hub.texts(_HUB, split) for split in ("train", "test")}
    else:
        messages = _messages(Path(folder))
    names = tuple(sorted(set(messages["train"][1])))
    if strange := sorted(set(messages["test"][1]) - set(names)):
        raise FileError(f"{folder or _HUB.name}: the test part has groups that the training part lacks: {strange[:5]}")
    index = {name: i for i, name in enumerate(names)}
    labelled = [(texts, np.array([index[group] for group in groups])) for texts, groups in messages.values()]
    train, test, vocabulary = _encoded(labelled[0], labelled[1], length)
    return replace(divide_published("20news", train, test, names, seed), vocabulary=vocabulary)


def _messages(folder: Path) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    lines = sorted(folder.glob("*.jsonl*")) if folder.is_dir() else []
    messages: dict[str, tuple[list[str], list[str]]] = {"train": ([], []), "test": ([], [])}
    try:
        if lines:
            opener = lzma.open if lines[0].suffix == ".xz" else open
            with opener(lines[0], "rt", encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    messages[row["split"]][0].append(_body(row["text"]))
                    messages[row["split"]][1].append(row["group"])
        else:
            for split, (texts, groups) in messages.items():
                for path in sorted((folder / f"20news-bydate-{split}").glob("*/*")):
                    texts.append(_body(path.read_text(encoding="latin-1")))
                    groups.append(path.parent.name)
    except (OSError, EOFError, ValueError, KeyError, TypeError, lzma.LZMAError) as error:
        raise FileError(f"cannot read 20 Newsgroups from {folder}: {type(error).__name__}: {error}") from error
    if not messages["train"][0] or not messages["test"][0]:
        raise FileError(
            f"{folder} does not hold 20 Newsgroups: expected 20news-bydate-train/GROUP/ID and 20news-bydate-test, "
            f"or a .jsonl file with split, group and text"
        )
    return messages  # type: ignore[return-value]


def _body(message: str) -> str:
    """Drop a message's headers: they name the group."""
    _, blank, body = message.partition("\n\n")
    return body if blank else message


def text_table(path: Path | str, seed: int = 0, length: int = 200) -> Data:
    """Return a user's own CSV of texts: columns `text` and `label`, and `split` (train, test) if it is divided.

    Raises:
        FileError: the file is missing, damaged or lacks a column.
        InputError: a text is empty, or there are fewer than two classes.
    """
    try:
        types = {"text": pa.string(), "label": pa.string(), "split": pa.string()}
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    if missing := {"text", "label"} - set(table.column_names):
        raise FileError(f"{path} lacks the column(s) {', '.join(sorted(missing))}; it has {table.column_names}")
    texts, given = table["text"].to_pylist(), table["label"].to_pylist()
    for row, (text, label) in enumerate(zip(texts, given, strict=True)):
        if not text or not label:
            raise InputError(f"{path} row {row} has no {'label' if text else 'text'}")
    names = tuple(sorted(set(given)))
    if len(names) < 2:
        raise InputError(f"{path} has {len(names)} class(es); at least two are needed")
    labels = np.array([names.index(label) for label in given])
    name = Path(path).stem
    if "split" not in table.column_names:
        words = [split_words(text) for text in texts]
        vocabulary = vocabulary_of(words)
        whole = divide(name, encode(words, vocabulary, length), torch.from_numpy(labels), names, seed)
        return replace(whole, vocabulary=vocabulary)
    split = np.array(table["split"].to_pylist())
    if strange := set(split.tolist()) - {"train", "test"}:
        raise InputError(f"{path}: a split is train or test, got {sorted(map(str, strange))[:5]}")
    rows = [np.flatnonzero(split == part) for part in ("train", "test")]
    if not all(map(len, rows)):
        raise InputError(f"{path}: with a column `split` there must be rows of train and of test")
    train, test, vocabulary = _encoded(*[([texts[i] for i in r], labels[r]) for r in rows], length)  # type: ignore[misc]
    return replace(divide_published(name, train, test, names, seed), vocabulary=vocabulary)
