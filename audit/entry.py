"""Where the program `astrobio-audit` begins: Ctrl-C that comes while its modules load is no error of it."""

import sys

_EXIT_INCOMPLETE = 3  # as `audit.errors` has it, which is not loaded yet


def main() -> None:
    """Load the command line and run it."""
    try:
        from audit.cli import main as run
    except KeyboardInterrupt:
        print("astrobio-audit: stopped before there was anything to report", file=sys.stderr)
        sys.exit(_EXIT_INCOMPLETE)
    run()
