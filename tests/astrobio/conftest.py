"""Loads torch before any test module does.

torch warns on import where NumPy is not installed, which is how this project installs it, and warnings are errors.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy", category=UserWarning)
    import torch  # noqa: F401
