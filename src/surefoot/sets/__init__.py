"""Sets of values: affine forms over polytopes."""
