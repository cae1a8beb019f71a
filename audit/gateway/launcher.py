"""Runs in the auditor's interpreter just before it becomes the target's: output, limits and process group are set here.

Called as `python -I -S launcher.py OUTPUT_FIFO DATA_LIMIT_BYTES FOLDER PYTHON ARGUMENT...`. It is a script of its own
because execnet starts the child with inherited standard error and in the parent's process group: a Ctrl-C would reach
the target, its output would reach the user's terminal, and its children would outlive it.
"""

import os
import sys


def main(arguments: list[str]) -> None:
    """Redirect standard error to the FIFO, leave the parent's process group, set limits, and become the interpreter."""
    fifo, data_limit, folder, *command = arguments
    os.setsid()
    output = os.open(fifo, os.O_WRONLY)
    os.write(output, f"{os.getpid()}\n".encode())
    os.dup2(output, 2)
    os.close(output)
    if int(data_limit):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (int(data_limit), int(data_limit)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
