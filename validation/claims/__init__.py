"""Claims that the target's owners publish, measured."""
