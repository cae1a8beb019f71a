"""The keys of an entry of MODELS that say what is called beside forward: what infers, and what generates tokens."""

import difflib
from collections.abc import Mapping

KEYS = ("inference", "generate")
_GENERATE = ("run", "content", "prompt", "inputs", "logits", "ends", "pads")


def generation_problem(spec: Mapping[str, object]) -> str | None:
    """Return what is wrong with these keys of an entry; None where nothing is."""
    if spec.get("inference") is not None and (problem := _inference_problem(spec["inference"])):
        return problem
    return None if spec.get("generate") is None else _generate_problem(spec["generate"])


def generation_described(spec: Mapping[str, object]) -> dict[str, object]:
    """Return these keys of an entry as plain data."""
    inference, generate = spec.get("inference"), spec.get("generate")
    return {
        "inference": [str(name) for name in inference] if isinstance(inference, Mapping) else None,
        "generate": {key: generate[key] for key in ("content", "prompt", "ends", "pads") if key in generate}
        if isinstance(generate, Mapping)
        else None,
    }


def _inference_problem(inference: object) -> str | None:
    if not isinstance(inference, Mapping) or not inference or not all(isinstance(each, str) for each in inference):
        return "'inference' must be a dict of names, each with a function of model, inputs and generator"
    wrong = [name for name, call in inference.items() if not callable(call)]
    return f"in 'inference', {', '.join(map(repr, wrong))} must be callable" if wrong else None


def _generate_problem(generate: object) -> str | None:
    if not isinstance(generate, Mapping) or "run" not in generate or "content" not in generate:
        return "'generate' must be a dict of 'run' and 'content', perhaps of others of " + ", ".join(_GENERATE[2:])
    if unknown := [key for key in generate if key not in _GENERATE]:
        near = difflib.get_close_matches(str(unknown[0]), _GENERATE, n=1)
        return f"in 'generate', unknown key {unknown[0]!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    if not all(callable(generate.get(key, len)) for key in ("run", "inputs", "logits")):
        return "in 'generate', 'run', 'inputs' and 'logits' must be callable"
    if not isinstance(generate["content"], str):
        return "in 'generate', 'content' must be the name of the argument of forward that holds the tokens"
    for key, least in (("prompt", 1), ("ends", 0), ("pads", 0)):
        value = generate.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            return f"in 'generate', {key!r} must be a whole number of at least {least}"
    if ("ends" in generate) != ("pads" in generate):
        return "in 'generate', 'ends' and 'pads' go together: after the one a row holds the other"
    return None
