"""Mistakes by kind: each is also the kind that Python has for it."""

import pytest

from surefoot.core.errors import FileError, InputError, MissingExtra, SurefootError, pip_install


@pytest.mark.parametrize(
    ("kind", "python"), [(InputError, ValueError), (FileError, OSError), (MissingExtra, ImportError)]
)
def test_each_is_caught_as_ours_and_as_pythons(kind: type[SurefootError], python: type[Exception]) -> None:
    for caught in (SurefootError, python):
        with pytest.raises(caught, match="row 3"):
            raise kind("row 3")


def test_an_extra_is_installed_from_the_checkout() -> None:
    assert pip_install("onnx") == "pip install '.[onnx]'"
