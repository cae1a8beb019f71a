"""The user's mistakes: shown as one line, exit code 2."""


class UsageError(Exception):
    """Something the user can correct: what is wrong, where, and what to do, in one line."""
