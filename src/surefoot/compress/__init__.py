"""Exact transformation: the same answers from a smaller network."""
