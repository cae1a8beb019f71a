"""One operator per file, with what it does, why it matters, and examples that are its tests."""
