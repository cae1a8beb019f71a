"""The names that every file of Python has without binding them."""

import builtins

# Those of `site` are told by name: the processes that read files are started without it, and what they say of a file
# must not differ from what is said of it elsewhere.
_OF_SITE = ("copyright", "credits", "exit", "help", "license", "quit")
BUILTIN_NAMES = frozenset({*vars(builtins), *_OF_SITE})
