"""Memory that was freed, given back to the machine."""

import ctypes


def give_back() -> None:
    """Have the C library return what the stages so far have freed, before other processes take memory beside this one.

    It keeps freed memory for the next request, and that of the tables of a large tree is tens of megabytes. Only glibc
    can be asked; elsewhere nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
