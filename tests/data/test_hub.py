"""The hub, played by a stand-in of its library: the same data come out, and what goes wrong is said in one line."""

import io
import sys
import types

import numpy as np
import PIL.Image
import pytest

from surefoot.core.errors import FileError, MissingExtra
from surefoot.data import load_data


class Image:
    """As `datasets.Image`."""

    def __init__(self, decode=True):
        self.decode = decode


class Rows(dict):
    """As `datasets.Dataset`, as far as it is used."""

    @property
    def features(self):
        return {name: Image() for name in self}

    def cast_column(self, name, feature):
        assert not feature.decode  # pictures are decoded here, once, not by the library for every look
        return self


@pytest.fixture
def hub(monkeypatch):
    asked = []
    rng = np.random.default_rng(0)

    def load_dataset(name, config=None, split=None):
        asked.append((name, config, split))
        n = 60 if split == "train" else 20
        if "mnist" in name or "cifar10" in name:
            images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            column = "img" if "cifar" in name else "image"
            return Rows(
                {column: [{"bytes": png(x), "path": None} for x in images], "label": [i % 10 for i in range(n)]}
            )
        if "newsgroups" in name:
            return Rows({"text": [f"word{i} word" for i in range(n)], "label_text": ["ab"[i % 2] for i in range(n)]})
        if name == "stanfordnlp/sst":
            return Rows({"ptb_tree": [f"({4 * (i % 2)} (2 w{i}) (2 x))" for i in range(n)]})
        raise ConnectionError("no route to the hub")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset, Image=Image))
    return asked


def png(image):
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mnist", ("ylecun/mnist", None, "test")),
        ("20news", ("SetFit/20_newsgroups", None, "test")),
        ("sst", ("stanfordnlp/sst", "ptb", "validation")),
    ],
)
def test_sets_come_from_the_hub_where_no_folder_is_named(hub, name, wanted):
    data = load_data(name)
    assert wanted in hub
    assert len(data.test) == 20
    assert len(data.class_names) in (2, 10)


def test_a_hub_out_of_reach_is_one_line_that_says_what_else_there_is(hub):
    with pytest.raises(FileError, match=r"cannot get train of ufldl-stanford/svhn.*no route to the hub.*--folder"):
        load_data("svhn")


def test_without_its_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[data\]'"):
        load_data("mnist")
