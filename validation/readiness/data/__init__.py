"""Data files: whether they were fetched, and whether each is what its format says."""
