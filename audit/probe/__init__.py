"""The only code that runs inside the target's process.

Self-contained: standard library and torch, relative imports only. Its sources are sent into the child interpreter and
imported there under a private name, so that nothing of the auditor is on the target's path. It imports, builds, calls
and differentiates, and returns plain data and tensors as bytes; it judges nothing.
"""
