"""The few kinds of mistakes a caller can make, each one a kind that they can catch."""

SOURCE = "."  # what pip is told to install: a checkout, as long as no index has the package


def pip_install(extra: str) -> str:
    """Say how an optional group of dependencies is installed, in the folder of a checkout."""
    return f"pip install '{SOURCE}[{extra}]'"


class SurefootError(Exception):
    """Base of every error that surefoot raises on purpose."""


class InputError(SurefootError, ValueError):
    """Something given is not what was asked for; the message says which row, which value, and what to do."""


class FileError(SurefootError, OSError):
    """A file is missing, damaged, or of a kind surefoot does not read."""


class MissingExtra(SurefootError, ImportError):
    """An optional group of dependencies is not installed; the message says which."""


class Taken(UserWarning):
    """Something was taken for what it is called elsewhere; the message says what for what."""
