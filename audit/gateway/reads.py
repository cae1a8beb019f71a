"""What the target's process says that it has read."""


def is_told(reply: object, call_id: str) -> bool:
    """Whether a reply tells which files the call has read; the answer itself follows."""
    return isinstance(reply, tuple) and len(reply) == 3 and reply[0] == call_id and reply[1] == "read"


class FilesRead:
    """The files that were read since `forget`, by every child that a probe and those beside it have started."""

    def __init__(self) -> None:
        """Begin with none."""
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.paths: set[str] = set()
        self.is_complete = True  # False once a child ended before it could tell

    def add(self, told: object) -> None:
        """Add what a child told; where that is no list of paths, what was read is unknown."""
        match told:
            case (_, _, list() as paths) if all(isinstance(path, str) for path in paths):
                self.paths.update(paths)
            case _:
                self.is_complete = False
