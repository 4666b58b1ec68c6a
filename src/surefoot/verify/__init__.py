"""Questions about a network over a region, and their answers."""
