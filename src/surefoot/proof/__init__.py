"""The trusted base: what a certificate is, and the check of one. It imports `graph` and `core` alone."""
