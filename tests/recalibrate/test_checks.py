"""The door of calibrators: what is legal passes, and what is not is refused by place, fault and remedy."""

from dataclasses import fields

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.recalibrate import TemperatureScaling, load_calibrator
from surefoot.recalibrate.checks import check_reach, check_steps
from surefoot.recalibrate.curves import PiecewiseLinear, StepFunction
from surefoot.recalibrate.steps import (
    STEPS,
    Affine,
    Curves,
    Domain,
    InverseFocal,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    RowTemperature,
    Softmax,
    Step,
    TopCurve,
)

ONE = Affine(np.array(1.0), np.array(0.0))
LINE = PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.0, 1.0]))


def mix(*parts: tuple[Step, ...]) -> Mix:
    return Mix(np.full(len(parts), 1 / len(parts)), parts)


@pytest.mark.parametrize(
    "steps",
    [
        (Softmax(),),
        (LogSoftmax(), ONE, Softmax()),
        (LogSoftmax(), LogSoftmax(), Softmax()),
        (InverseFocal(np.array([5.0, 3.0]), np.array([0.2])), ONE, Softmax()),
        (Softmax(), Curves((LINE,)), Normalise()),
        (Softmax(), Curves((LINE,)), Curves((LINE, LINE, LINE)), TopCurve((LINE,), np.array(0.0))),
        (Softmax(), Reweigh(np.array([0.0, 0.0, 1e308])), Normalise()),
        (mix((Softmax(),), (ONE, Softmax())),),
        (Softmax(), mix((), (Reweigh(np.ones(3)),))),
        (mix((mix((Softmax(),)), Normalise())), Reweigh(np.ones(3))),
    ],
)
def test_legal_lists_pass_as_they_are(steps: tuple[Step, ...]) -> None:
    assert check_steps(steps, 3) == steps


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((), r"must end in probabilities, this one ends in logits: it has no step: add softmax"),
        ((Softmax(), ONE, Softmax()), r"step 2 of 3 \(affine\) takes logits, and is given probabilities; what takes"),
        ((LogSoftmax(), Curves((LINE,))), r"step 2 of 2 \(curves\) takes scores, and is given log-probabilities"),
        ((Softmax(), Curves((LINE,))), r"this one ends in scores"),
        ((mix((Softmax(),), (ONE,)),), r"step 1 of 1 \(mix\), part 2: a calibrator must end in probabilities"),
        ((mix((Softmax(), Softmax())),), r"step 1 of 1 \(mix\), part 1: step 2 of 2 \(softmax\) takes logits"),
        ((Mix(np.array([-0.5, 1.5]), ((Softmax(),),) * 2),), r"weights must be at least 0, with a sum of at most 1"),
        ((Softmax(), Reweigh(np.array([-1.0, 1.0, 1.0]))), r"factors must be at least 0, not all 0; got -1 to 1"),
        ((Softmax(), Reweigh(np.ones(2))), r"factors must be of shape \(3,\), got shape \(2,\)"),
        ((Affine(np.ones(4), np.array(0.0)), Softmax()), r"a number or of shape \(3,\) or of shape \(3, 3\)"),
        ((Affine(np.array(np.inf), np.array(0.0)), Softmax()), r"1 of 2 \(affine\): weight must be finite, got inf"),
        ((InverseFocal(np.array([-1.0]), np.zeros(0)), Softmax()), r"gammas must be at least 0, got -1"),
        ((InverseFocal(np.ones(2), np.array([1.0])), Softmax()), r"thresholds must increase strictly, between 0 and 1"),
        (
            (Softmax(), Curves((LINE, StepFunction(np.array([0.5]), np.array([0.0, 1.5])), LINE)), Normalise()),
            r"curve 2 \(stairs\) must stay within 0 and 1; it goes from 0 to 1.5",
        ),
        ((Softmax(), Curves((LINE, LINE)), Normalise()), r"one for all classes, or one for each of the 3; got 2"),
        ((Softmax(), TopCurve((LINE,), np.array(-1.0))), r"power must be at least 0, got -1"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(steps: tuple[Step, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_steps(steps, 3)
    with pytest.raises(InputError, match=said):
        TemperatureScaling().set_steps(steps, 3)


def test_from_probabilities_other_lists_are_legal() -> None:
    assert check_steps((), 3, Domain.PROBABILITIES) == ()
    with pytest.raises(InputError, match="takes logits"):
        check_steps((Softmax(),), 3, Domain.PROBABILITIES)


@pytest.mark.parametrize("classes", [1, 0, True])
def test_classes_are_a_whole_number(classes: object) -> None:
    with pytest.raises(InputError, match="whole number of classes"):
        TemperatureScaling().set_steps((Softmax(),), classes)  # pyright: ignore[reportArgumentType]


def test_every_step_has_a_domain() -> None:
    for step in STEPS.values():
        assert isinstance(step.gives, Domain)
        assert step.takes is None or isinstance(step.takes, Domain)
        assert not {"takes", "gives"} & {field.name for field in fields(step)}  # not a part of files


def test_maps_that_would_leave_float64_are_told() -> None:
    warm = RowTemperature(np.ones((5, 3)), np.zeros(5), np.ones((5, 5)), np.zeros(5), np.ones(5), np.array(0.0))
    check_reach((ONE, warm, InverseFocal(np.array([5.0]), np.zeros(0)), Softmax()), 3.4e38)
    for big in (Affine(np.array(1e300), np.array(0.0)), Affine(np.ones((3, 3)) * 1e270, np.zeros(3))):
        for steps in ((big, Softmax()), (mix((big, Softmax())),)):
            with pytest.raises(InputError, match="more than a float64 can hold"):
                check_reach(steps, 3.4e38)


@pytest.mark.parametrize("name", ["[]", "{}", '"x"', "1" * 5000, "[" * 100_000])
def test_files_that_hold_something_else_are_refused_in_a_line(name: str, tmp_path) -> None:
    path = tmp_path / "map.json"
    head = (
        '{"format": "surefoot recalibrator", "version": 2, "name": "TemperatureScaling", "settings": {}, "learnt": {}'
    )
    for text in (
        name,
        f'{head}, "classes": 3, "steps": {name}}}',
        f'{{"format": "surefoot recalibrator", "name": {name}',
    ):
        path.write_text(text)
        with pytest.raises(FileError) as raised:
            load_calibrator(path)
        assert "\n" not in str(raised.value)
