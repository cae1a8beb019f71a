"""What can go wrong with a run, each told in one line."""


class UsageError(ValueError):
    """Something the user can correct, told in one line."""


class RunFolderError(Exception):
    """The folder of a run is not what the command needs: missing, taken, of another task, without a good checkpoint."""


class WriteError(Exception):
    """A file of a run could not be written; what was there before is intact."""


class Interrupted(Exception):
    """The run was asked to stop and did so after a whole step."""
