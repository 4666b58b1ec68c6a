"""Bounds on what a network can compute: stars, back-substitution, proofs and their checker."""
