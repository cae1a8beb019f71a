"""The keys of an entry of MODELS that say what holds for its weights: which are one tensor."""

from collections.abc import Mapping

KEYS = ("tied",)


def weights_problem(spec: Mapping[str, object]) -> str | None:
    """Return what is wrong with these keys of an entry; None where nothing is."""
    return None if spec.get("tied") is None else _tied_problem(spec["tied"])


def weights_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return these keys of an entry as plain data."""
    tied = spec.get("tied")
    return {"tied": [list(group) for group in tied] if isinstance(tied, list | tuple) else None}


def _tied_problem(tied: object) -> str | None:
    if not isinstance(tied, list | tuple) or not tied or not all(map(_is_group, tied)):
        return (
            "'tied' must be a list of groups of names of parameters or buffers, two or more in each, as in "
            "[('head.weight', 'embed.weight')]"
        )
    return None


def _is_group(group: object) -> bool:
    if not isinstance(group, list | tuple) or not all(isinstance(name, str) for name in group):
        return False
    return len(set(group)) == len(group) > 1
