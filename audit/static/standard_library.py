"""Which modules come with Python."""

import sys

STANDARD_LIBRARY = frozenset({*sys.stdlib_module_names, "typing_extensions"})  # the latter backports the former
