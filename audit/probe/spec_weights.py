"""The keys of an entry of MODELS that say what holds for its weights: which are one tensor, and which are frozen."""

from collections.abc import Mapping

KEYS = ("tied", "frozen")


def weights_problem(spec: Mapping[str, object]) -> str | None:
    """Return what is wrong with these keys of an entry; None where nothing is."""
    for key, problem_of in (("tied", _tied_problem), ("frozen", frozen_problem)):
        if spec.get(key) is not None and (problem := problem_of(spec[key])):
            return problem
    return None


def weights_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return these keys of an entry as plain data."""
    tied, frozen = spec.get("tied"), spec.get("frozen")
    return {
        "tied": [list(group) for group in tied] if isinstance(tied, list | tuple) else None,
        "frozen": list(frozen) if isinstance(frozen, list | tuple) else None,
    }


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


def frozen_problem(frozen: object) -> str | None:
    """Return what is wrong with the key `frozen`; None where nothing is."""
    if not isinstance(frozen, list | tuple) or not all(isinstance(pattern, str) for pattern in frozen):
        return "'frozen' must be a list of names of parameters, `*` for any text, as in ['backbone.*']"
    return None
