"""Classifiers that know how sure they are: train them calibrated, measure it honestly, repair what is left."""

from importlib.metadata import version

__version__ = version("surefoot")
