"""The commands that have a plan, and the ones that share it out."""
