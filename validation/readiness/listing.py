"""How reports list names that come from files of the target."""

from collections.abc import Iterable


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Return the names as a list for a reader, cut where it is long."""
    ordered = list(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(name if len(name) <= 120 else name[:117] + "..." for name in ordered[:limit]) + more
