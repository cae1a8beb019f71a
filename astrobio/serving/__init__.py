"""Answers from trained models: checked inputs, files, and an HTTP interface."""
