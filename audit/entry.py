"""Where the program `astrobio-audit` begins: Ctrl-C that comes while its modules load is no error of it."""

import sys

from audit.ending import come_to, keep_exit_code
from audit.errors import EXIT_INCOMPLETE


def main() -> None:
    """Load the command line and run it; the exit code that it comes to is the process's, whatever is loaded into it."""
    try:
        keep_exit_code()
        _run()
    except SystemExit as left:
        come_to(left.code)
        raise


def _run() -> None:
    try:
        from audit.cli import main as run
    except KeyboardInterrupt:
        print("astrobio-audit: stopped before there was anything to report", file=sys.stderr)
        sys.exit(EXIT_INCOMPLETE)
    run()


if __name__ == "__main__":
    main()
