"""The models, one per file; `astrobio.registry` builds them by name."""
