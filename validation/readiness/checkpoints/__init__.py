"""Checkpoints: files of weights, read without loading them."""
