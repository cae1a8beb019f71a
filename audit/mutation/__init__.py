"""Mutation operators for attention, models and training, and the mutants that they make of a file."""
