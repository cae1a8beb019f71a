"""Documents: whether their commands parse, their figures are backed, and their links lead somewhere."""
