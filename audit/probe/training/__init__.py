"""Trains the target's models: a loop that can be interrupted, its baseline, two ranks, and the target's own command."""
