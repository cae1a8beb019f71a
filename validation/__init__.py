"""Checks that build, run and train the target's real models through the probe, and the readiness report."""
