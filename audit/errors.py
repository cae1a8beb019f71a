"""The ways out of a command other than with a report."""

EXIT_INCOMPLETE = 3  # nothing is concluded: stopped, not all looked at, or a defect of ours


class UsageError(Exception):
    """Something the user can correct: what is wrong, where, and what to do, in one line; exit code 2."""


class Unfinished(Exception):
    """Nothing could be concluded, and neither the options nor the configuration are why; exit code 3."""


class Stopped(Exception):
    """The user stopped the command where there was nothing to report yet; exit code 3."""


class ReaderGone(Exception):
    """Whoever read our output went away (`| head`); exit code 3."""
