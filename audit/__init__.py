"""Static analysis, attention correctness, report writing and the command line of astrobio-audit."""

__version__ = "0.1.0"
