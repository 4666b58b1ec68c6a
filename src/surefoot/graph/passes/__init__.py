"""Rewrites: one a file, each keeps what the network computes."""
