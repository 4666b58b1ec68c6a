"""Names of before still give the same, with a word."""

import pytest

import surefoot.recalibrate as package


@pytest.mark.parametrize(("old", "new"), package._RENAMED.items())
def test_an_old_name_gives_the_new_thing(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        assert getattr(package, old) is getattr(package, new)
    with pytest.raises(AttributeError):
        package.Recalibrators  # noqa: B018
