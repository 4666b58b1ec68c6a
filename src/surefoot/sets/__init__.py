"""Sets of values: affine forms over polytopes, and stars."""

from surefoot.sets.affine_form import AffineForm as AffineForm
from surefoot.sets.predicate import Predicate as Predicate
from surefoot.sets.predicate import Solver as Solver
from surefoot.sets.star import Star as Star
