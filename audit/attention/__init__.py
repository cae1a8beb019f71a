"""Attention audit: a float64 oracle, contracts, and one file per property."""
