"""Smoke checks: does each registered model import, build, run, learn, save and load."""
