"""The keys of an entry of MODELS that say how the model behaves: what is random, hidden, compiled, exported."""

import difflib
from collections.abc import Mapping
from typing import TypeGuard

KEYS = (
    "random_in_training",
    "differs_in_training",
    "padding",
    "causal",
    "residual",
    "tiny",
    "checkpointing",
    "dtypes",
    "compiles",
    "exports",
    "dynamic_batch",
    "targets_differ",
    "stops_gradients",
)
_CALLABLE = ("tiny", "checkpointing")
_FLAGS = ("random_in_training", "differs_in_training", "dynamic_batch", "targets_differ", "stops_gradients")
DTYPES = ("float64", "bfloat16", "float16", "autocast bfloat16", "autocast float16")
_PADDING = {"mask", "lengths", "tokens", "pad_id", "content", "axis", "keeps", "removable", "outputs"}
_MARKS = ("mask", "lengths", "tokens")  # what says which positions are padding
_MOST_AXES = 64  # that a tensor of torch can have
_MOST_TOKENS = 2**31
_CAUSAL = {"content", "axis", "outputs"}


def behaviour_problem(spec: Mapping[str, object]) -> str | None:
    """Return what is wrong with these keys of an entry; None where nothing is."""
    wrong = [key for key in _CALLABLE if key in spec and not callable(spec[key])]
    if wrong:
        return f"{', '.join(map(repr, wrong))} must be callable"
    wrong = [key for key in _FLAGS if not isinstance(spec.get(key, False), bool)]
    if wrong:
        return f"{', '.join(map(repr, wrong))} must be True or False"
    for key in ("compiles", "exports"):
        if not isinstance(spec.get(key, False), bool | str):
            return f"'{key}' must be True, False, or the name of another entry of the same class that stands for it"
    if spec.get("dynamic_batch") and not (spec.get("exports") is None or spec.get("exports") is True):
        return f"'dynamic_batch' is about the export, and 'exports' is {spec['exports']!r}: no export of it is judged"
    dtypes = spec.get("dtypes", [])
    if not isinstance(dtypes, list | tuple) or any(each not in DTYPES for each in dtypes):
        return f"'dtypes' must be a list of {', '.join(map(repr, DTYPES))}"
    for padding in _listed(spec.get("padding")):
        if problem := _padding_problem(padding):
            return problem
    for key, problem_of in (("causal", _causal_problem), ("residual", _residual_problem)):
        if spec.get(key) is not None and (problem := problem_of(spec[key])):
            return problem
    return None


def behaviour_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return these keys of an entry as plain data."""
    return {
        "random_in_training": spec.get("random_in_training"),
        "differs_in_training": spec.get("differs_in_training", False),
        "padding": [_padding_described(each) for each in _listed(spec.get("padding"))] if "padding" in spec else None,
        "causal": None if spec.get("causal") is None else _causal_described(spec["causal"]),
        "residual": None if spec.get("residual") is None else _residual_described(spec["residual"]),
        "dtypes": _listed(spec["dtypes"]) if "dtypes" in spec else None,
        "compiles": spec.get("compiles"),
        "exports": spec.get("exports"),
        "dynamic_batch": spec.get("dynamic_batch", False),
        "targets_differ": spec.get("targets_differ", True),
        "stops_gradients": spec.get("stops_gradients", False),
    }


def _listed(padding: object) -> list[object]:
    return [] if padding is None else list(padding) if isinstance(padding, list | tuple) else [padding]


def _unknown_key(given: object, key: str, known: set[str]) -> str | None:
    if isinstance(given, Mapping) and (unknown := [each for each in given if each not in known]):
        near = difflib.get_close_matches(str(unknown[0]), known, n=1)
        return f"in {key!r}, unknown key {unknown[0]!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    return None


def _is_axis(axis: object) -> TypeGuard[int]:
    return isinstance(axis, int) and not isinstance(axis, bool) and abs(axis) < _MOST_AXES


def _is_token(token: object) -> bool:
    return isinstance(token, int) and not isinstance(token, bool) and abs(token) < _MOST_TOKENS


def _is_axis_from_the_front(axis: object) -> bool:
    return _is_axis(axis) and axis >= 0


def _causal_problem(causal: object) -> str | None:
    if problem := _unknown_key(causal, "causal", _CAUSAL):
        return problem
    if not isinstance(causal, Mapping) or "content" not in causal:
        return "'causal' must be a dict of 'content', perhaps 'axis' and 'outputs'"
    content = causal["content"]
    if not isinstance(content, list | tuple) or not content or not all(isinstance(each, str) for each in content):
        return "in 'causal', 'content' must be a list of names of forward's arguments"
    if not _is_axis_from_the_front(causal.get("axis", 1)):
        return "in 'causal', 'axis' must be a whole number, counted from the front"
    return _outputs_problem(causal, "causal")


def _outputs_problem(given: Mapping[object, object], key: str) -> str | None:
    outputs = given.get("outputs", {"": 1})
    if not isinstance(outputs, Mapping) or not outputs or not all(isinstance(each, str) for each in outputs):
        return f"in {key!r}, 'outputs' must be a dict of names of outputs, each with its axis of positions"
    wrong = [name for name, axis in outputs.items() if not _is_axis_from_the_front(axis)]
    return (
        f"in {key!r}, the axis of {wrong[0]!r} in 'outputs' must be a whole number, counted from the front"
        if wrong
        else None
    )


def _outputs_described(given: Mapping[object, object]) -> dict[str, object] | None:
    outputs = given.get("outputs")
    assert outputs is None or isinstance(outputs, Mapping)
    return None if outputs is None else dict(outputs)


def _residual_problem(residual: object) -> str | None:
    if not isinstance(residual, Mapping) or not residual or not all(isinstance(each, str) for each in residual):
        return "'residual' must be a dict of names of blocks, each with a list of the last layers of its branches"
    for block, layers in residual.items():
        if not isinstance(layers, list | tuple) or not layers or not all(isinstance(each, str) for each in layers):
            return f"in 'residual', {block!r} must have a list of names, of the last layer of each branch"
    return None


def _residual_described(residual: object) -> dict[str, list[str]]:
    assert isinstance(residual, Mapping)
    return {str(block): list(layers) for block, layers in residual.items()}


def _causal_described(causal: object) -> dict[str, object]:
    assert isinstance(causal, Mapping)
    return {
        "content": list(causal["content"]),
        "axis": causal.get("axis", 1),
        "outputs": _outputs_described(causal),
    }


def _padding_problem(padding: object) -> str | None:
    if problem := _unknown_key(padding, "padding", _PADDING):
        return problem
    marks = [key for key in _MARKS if isinstance(padding, Mapping) and key in padding]
    if not isinstance(padding, Mapping) or not marks or not ("content" in padding or "tokens" in padding):
        return (
            "'padding' must be a dict of 'mask' and 'content', perhaps 'axis' and 'keeps', or a list of such; "
            "'lengths', or 'tokens' and 'pad_id', may stand in the place of 'mask'"
        )
    if len(marks) > 1:
        return f"in 'padding', {' and '.join(map(repr, marks))} are in one: each needs a dict of its own"
    if problem := _pad_id_problem(padding):
        return problem
    content = padding.get("content", [])
    is_list = isinstance(content, list | tuple) and (content or "tokens" in padding)
    if not isinstance(padding[marks[0]], str) or not is_list:
        return f"in 'padding', {marks[0]!r} must name an argument of forward, and 'content' be a list of such names"
    if not all(isinstance(each, str) for each in content):
        return "in 'padding', 'content' must be a list of names of forward's arguments"
    if padding[marks[0]] in content:
        return f"in 'padding', 'content' names what else is hidden, and not {marks[0]!r} themselves"
    if not _is_axis(padding.get("axis", 1)) or not isinstance(padding.get("keeps", True), bool):
        return "in 'padding', 'axis' must be a whole number, and 'keeps' True or False"
    if not isinstance(padding.get("removable", False), bool):
        return "in 'padding', 'removable' must be True or False: whether a row says the same without it"
    return _outputs_problem(padding, "padding")


def _pad_id_problem(padding: Mapping[object, object]) -> str | None:
    if ("tokens" in padding) != ("pad_id" in padding):
        return "in 'padding', 'tokens' and 'pad_id' go together: where the one is the other, there is padding"
    if "pad_id" in padding and not _is_token(padding["pad_id"]):
        return "in 'padding', 'pad_id' must be a whole number, the token that stands for padding"
    if "tokens" in padding and "axis" in padding and not padding.get("content"):
        return "in 'padding', 'axis' is that of 'content', and there is none"
    if "keeps" in padding and "mask" not in padding:
        return "in 'padding', 'keeps' is for a 'mask' alone"
    return None


def _padding_described(padding: object) -> dict[str, object]:
    assert isinstance(padding, Mapping)
    marks = next(key for key in _MARKS if key in padding)
    return {
        "mask": padding[marks],
        "marks": marks,
        "pad_id": padding.get("pad_id"),
        "content": list(padding.get("content", [])),
        "axis": padding.get("axis", 1),
        "keeps": padding.get("keeps", True),
        "removable": padding.get("removable", False),
        "outputs": _outputs_described(padding),
    }
