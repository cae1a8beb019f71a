"""Benchmarks of attention backends and whole models: a wrong one gets no time."""
