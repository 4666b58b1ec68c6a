"""A training's log is read, and what it says in words follows from its numbers."""

import pytest

from surefoot.core.errors import FileError
from surefoot.evaluate.training_log import COLUMNS, TrainingLog, read_log, sentences_of
from surefoot.report.page import write_training_page


def write(folder, rows):
    (folder / "log").mkdir(exist_ok=True)
    lines = [",".join(["epoch", *COLUMNS])]
    for epoch, values in rows:
        lines.append(",".join([str(epoch), *(str(values.get(name, "")) for name in COLUMNS)]))
    (folder / "log" / "metrics.csv").write_text("\n".join(lines) + "\n")


def log_of(nll, refined, error=(0.5, 0.3, 0.2, 0.2)):
    columns = {name: [0.5] * len(nll) for name in COLUMNS}
    columns |= {"val_nll": list(nll), "val_refined_nll": list(refined), "val_error": list(error)}
    return TrainingLog(columns, list(range(1, len(nll) + 1)))


def test_the_halves_of_an_epoch_are_joined_and_an_unfinished_one_is_left_out(tmp_path):
    held_out = {name: 0.1 for name in COLUMNS if name.startswith("val")}
    trained = {name: 0.2 for name in COLUMNS if not name.startswith("val")}
    write(tmp_path, [(0, held_out), (0, trained), (1, held_out), (1, trained), (2, held_out)])
    log = read_log(tmp_path)
    assert log.epochs == 2
    assert log.columns["val_nll"] == [0.1, 0.1]
    assert log.columns["gradient_norm"] == [0.2, 0.2]


def test_epochs_are_called_by_their_own_numbers(tmp_path):
    """A run that was killed between an epoch's checkpoint and its line in the log goes on with the next epoch."""
    nll = {0: 1.0, 1: 0.8, 3: 0.5, 4: 0.9}
    write(tmp_path, [(epoch, dict.fromkeys(COLUMNS, 0.3) | {"val_nll": value}) for epoch, value in nll.items()])
    log = read_log(tmp_path)
    assert log.numbers == [1, 2, 4, 5]
    first, _, third = sentences_of(log)
    assert "began after epoch 4" in first
    assert "by epoch 5" in first
    assert "(epoch 4)" in third


@pytest.mark.parametrize("content", [None, "", "hello\n1\n", "epoch,val_nll\nx,y\n", "epoch,val_nll\n0,0.5\n"])
def test_what_is_no_log_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "log").mkdir()
        (tmp_path / "log" / "metrics.csv").write_text(content)
    with pytest.raises(FileError, match=r"metrics\.csv"):
        read_log(tmp_path)


def test_overfitting_of_nll_is_dated():
    first, second, _ = sentences_of(log_of([1.0, 0.5, 0.6, 0.9], [0.9, 0.5, 0.45, 0.4]))
    assert "began after epoch 2" in first
    assert "from 0.500 to 0.900 by epoch 4" in first
    assert "from 30.0% to 20.0%" in first
    assert "did not suffer" in second
    assert "worth 0.500" in second


def test_knowledge_that_is_lost_is_told_from_confidence_that_grows():
    _, second, _ = sentences_of(log_of([1.0, 0.5, 0.7, 0.9], [0.9, 0.4, 0.5, 0.6]))
    assert "Knowledge was lost" in second
    assert "from 0.400 to 0.600" in second


def test_no_overfitting_is_said_as_plainly():
    first, *_ = sentences_of(log_of([1.0, 0.6, 0.5, 0.505], [0.9, 0.6, 0.5, 0.5]))
    assert first.startswith("No overfitting of NLL")


def test_the_page_holds_the_log_and_its_sentences(tmp_path):
    log = log_of([1.0, 0.5, 0.6, 0.9], [0.9, 0.5, 0.45, 0.4])
    write_training_page(tmp_path / "training.html", "A <run>", log)
    text = (tmp_path / "training.html").read_text()
    assert "A &lt;run&gt;" in text
    assert sentences_of(log)[0] in text
    assert text.count('class="plotly-graph-div"') == 6
