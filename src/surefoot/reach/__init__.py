"""Bounds on what a network can compute: stars, CROWN, proofs and their checker."""
