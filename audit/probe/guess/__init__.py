"""Finds out how an attention class or function that no spec names is loaded, built and called."""
