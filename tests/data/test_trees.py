"""Trees in brackets: read, cut into phrases, numbered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import FileError
from surefoot.data import load_data
from surefoot.data.trees import Tree, encode_trees, parse, phrases


def written(tree, place=None):
    place = len(tree.nodes) - 1 if place is None else place
    node = tree.nodes[place]
    inside = node if isinstance(node, str) else " ".join(written(tree, child) for child in node)
    return f"({tree.labels[place]} {inside})"


LINE = st.recursive(
    st.builds("({} {})".format, st.integers(0, 4), st.sampled_from(["a", "film", "n't", "``"])),
    lambda inner: st.builds("({} {} {})".format, st.integers(0, 4), inner, inner),
    max_leaves=12,
)


@given(LINE)
def test_reading_is_the_inverse_of_writing_for_the_tree_and_its_phrases(line):
    tree = parse(line)
    assert written(tree) == line
    found = phrases(tree)
    assert found[-1] == tree
    assert [written(p) for p in found] == [written(tree, place) for place in range(len(tree.nodes))]


@given(LINE)
def test_numbers_hold_the_tree(line):
    tree = parse(line)
    words = ("<pad>", "<unknown>", "a", "film")
    (rows,) = encode_trees([tree], words, 30).tolist()
    for (first, second, height), node in zip(rows, tree.nodes, strict=False):
        if isinstance(node, str):
            assert (first, second, height) == (words.index(node) if node in words else 1, 0, 0)
        else:
            assert (first, second) == node
            assert height == 1 + max(rows[first][2], rows[second][2])
    assert all(row == [0, 0, -1] for row in rows[len(tree.nodes) :])


@pytest.mark.parametrize(
    "line", ["", "(2 a", "2 a)", "(2 (2 a))", "(5 a)", "(2 (2 a) b)", "(2 a) (2 b)", "(2 (2 a) (2 b) (2 c))", "(2)"]
)
def test_what_is_no_tree_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        parse(line)


def test_words_with_blanks_stay_one_word():
    assert parse("(2 (2 R  ock) (3 !))") == Tree(("R ock", "!", (0, 1)), (2, 3, 2))


def test_neutral_sentences_are_left_out_and_phrases_are_trained_on(tmp_path):
    lines = {
        "train": ["(4 (3 good) (2 film))", "(2 (2 a) (2 b))", "(0 (1 bad) (2 film))"],
        "dev": ["(3 (3 good) (2 b))", "(1 bad)", "(2 a)"],
        "test": ["(1 (1 bad) (2 b))", "(4 good)"],
    }
    for split, texts in lines.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(texts) + "\n")
    data = load_data("sst", folder=tmp_path)
    assert len(data.train) == 4  # good film, good, bad film, bad: what is neutral is not trained on
    assert len(data.validation) == 2
    assert data.test.y.tolist() == [0, 1]
    assert data.shape == (3, 3, len(data.vocabulary))
    (tmp_path / "dev.txt").write_text("(3 (3 good) (2 b))\n(1 bad\n")
    with pytest.raises(FileError, match=r"dev\.txt line 2: a bracket is not closed"):
        load_data("sst", folder=tmp_path)
    (tmp_path / "dev.txt").unlink()
    with pytest.raises(FileError, match=r"expected dev\.txt"):
        load_data("sst", folder=tmp_path)


def test_real_sst_has_the_published_sizes(shared_data):
    data = load_data("sst", folder=shared_data / "text" / "sst")
    assert (len(data.validation), len(data.test)) == (872, 1821)
