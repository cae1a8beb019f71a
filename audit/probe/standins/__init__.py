"""Libraries that need a GPU, in a form that computes their documented semantics exactly on a CPU.

They are written for reading, take a few tokens, and are put in the place of the library for one call only.
"""
