"""Finds how a class or function is built and called: arguments and forms are tried until a call gives what it should.

Each reply holds what the probe needs to do the same again, so that one process may find and others run.
"""

from collections.abc import Callable, Mapping
from typing import cast

import torch

from ..phases import phase
from . import trying
from .adapting import Form
from .claims import claimed
from .claims_of import Subject
from .contracts import inferred
from .conventions import Sizes
from .function_claims import has_switch
from .hosts import host_of
from .loading import Loaded, load
from .problems import NotGuessed
from .reading import is_module_class, parameters_of, read
from .searching import Way, namespace_of, ways_of_class, ways_of_function
from .trying import Target
from .values import python


def find(path: str, module: str | None, qualname: str, seed: int) -> dict[str, object]:
    """Return how the class or function `qualname` of the file at `path` is built and called, and what it promises.

    Args:
        path: of its file, absolute.
        module: the file's dotted name in the package; None outside one.
        qualname: of the class or function.
        seed: of the weights.

    Returns:
        `problem` (one line, or None), `kind`, `declared`, `parameters`, `loaded`, `loading` (how, where its module was
        not imported, else empty), `signature` and the `subjects`, each with its `choices`, which `callee_of` takes,
        `contract`, `inferred_from`, `claims` (what says fields of it, and where), `arguments`, `call`, and the
        `lengths` that it was called with; `choices["opened"]` names the parameters that begin as zero and were given
        numbers, for nothing shows behind them; `not_built` says why options are none of them. `path`, `module` and
        `qualname` are those that were asked for.
    """
    reply: dict[str, object] = {
        "problem": None,
        "kind": "module",
        "declared": f"{module or ''}:{qualname}",
        "parameters": None,
        "subjects": [],
        "loaded": None,
        "loading": "",
        "signature": {},
        "not_built": {},
        "path": path,
        "module": module,
        "qualname": qualname,
    }
    try:
        with phase("import"):
            loaded = load(path, module, qualname)
        value = loaded.value
        reply |= {"loaded": loaded.how, "loading": loaded.said, "declared": _declared(value, qualname)}
        reply |= {"signature": _signature(value)}
        host = host_of(value) if isinstance(value, type) and not is_module_class(value) else None
        if host is not None:
            assert isinstance(value, type)
            loaded = Loaded(namespace_of(value)[host], loaded.how)
            reply |= {"declared": _declared(loaded.value, host), "signature": _signature(loaded.value)}
            ways, why_not = ways_of_class(loaded, path, seed, processor=value)
            return reply | _found(ways, why_not, loaded, path, host=host)
        if isinstance(value, type) and not is_module_class(value):
            what = (
                "a torch.autograd.Function" if issubclass(value, torch.autograd.Function) else "not a torch.nn.Module"
            )
            raise NotGuessed(f"{qualname} is {what}: nothing says how it is called")
        if not callable(value):
            raise NotGuessed(f"{qualname} is neither a class nor a function")
        ways, why_not = ways_of_class(loaded, path, seed) if is_module_class(value) else ways_of_function(loaded, path)
        reply |= _found(ways, why_not, loaded, path)
    except NotGuessed as problem:
        # A name that is missing then is the doing of an import that failed, and not of the class.
        reply["problem"] = f"{problem}; it was {said}" if (said := reply["loading"]) else str(problem)
    return reply


def _found(
    ways: Mapping[str, Way], why_not: Mapping[str, str], loaded: Loaded, path: str, *, host: str | None = None
) -> dict[str, object]:
    """Return the part of the reply that says how it is built and called; `host` runs what was asked for."""
    main = next(iter(ways.values()))
    found: dict[str, object] = {
        "subjects": [_described(name, way, loaded, path, host) for name, way in ways.items()],
        "kind": main.form["canonical"],
        "not_built": dict(why_not),
    }
    if main.module is not None:
        found["parameters"] = sum(p.numel() for p in main.module.parameters())
    return found


def _declared(value: object, qualname: str) -> str:
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', qualname)}"


def _signature(value: object) -> dict[str, object]:
    """Return the arguments of the constructor (of a class) and of the call, each as it is written."""
    functions = (
        {"build": value, "call": getattr(value, "forward", None)} if isinstance(value, type) else {"call": value}
    )
    found: dict[str, object] = {}
    for key, function in functions.items():
        if callable(function):
            try:
                named = [str(each) for each in parameters_of(function) if each.name != "self"]
            except (TypeError, ValueError):  # built in
                continue
            found[key] = named
    return found


def _described(name: str, way: Way, loaded: Loaded, path: str, host: str | None) -> dict[str, object]:
    """Return a subject as plain data."""
    form, sizes = way.form, way.sizes
    source = read(loaded.value)
    function = cast(Callable[..., object], loaded.value if way.module is None else way.module)
    target = Target(function, function, namespace_of(loaded.value), path)
    try:
        future = None if form.get("context_dim") else trying.future_share(target, form, sizes)
    except Exception:  # a function may need fewer queries than keys, or the other way round
        future = None
    named = str(getattr(loaded.value, "__qualname__", ""))
    contract, why = inferred(
        way.module, named, source, {**way.defaults, **_flat(way.arguments)}, form, sizes, future=future
    )
    if form.get("context_dim"):
        contract["context_dim"] = form["context_dim"]
        contract.pop("is_causal", None)
        why.pop("is_causal", None)
    if form.get("why mask"):
        why["key_mask"] = form["why mask"]
    arguments = {**way.defaults, **_flat(way.arguments)}
    read_ = Subject(
        loaded.value, way.module, source, arguments, form, future,
        can_switch=_can_switch(target, form, sizes), alignment=_alignment(target, form, sizes, future),
    )  # fmt: skip
    claims = claimed(read_, contract)
    contract |= claims.contract
    why |= {key: claims.said[key] for key in claims.contract if key in claims.said}
    subject: dict[str, object] = {
        "name": name,
        "choices": {
            "arguments": dict(way.arguments),
            "form": form,
            "opened": way.opened,
            "host": host,
            "loaded": loaded.how,
        },
        "contract": contract,
        "claims": claims.said,
        "inferred_from": why,
        "arguments": {key: python(value) for key, value in way.arguments.items()},
        "call": _call_line(form, way, named),
        "lengths": form.get("lengths", []),
    }
    return subject


def _can_switch(target: Target, form: Form, sizes: Sizes) -> bool:
    """Whether a function with a causal flag answers with it on, and then hides some later keys."""
    if form["canonical"] != "function" or not has_switch(form):
        return False
    try:
        return trying.future_share(target, form, sizes, is_causal=True) < 1
    except Exception:  # it refuses the flag, or equal lengths
        return False


def _alignment(target: Target, form: Form, sizes: Sizes, future: float | None) -> str | None:
    """Return which corner the causal mask of a function without a flag meets; None where it has none, or neither."""
    if form["canonical"] != "function" or not form["uneven"] or future is None or has_switch(form):
        return None
    try:
        return trying.alignment(target, form, sizes)
    except Exception:  # it takes fewer queries than keys at some lengths only
        return None


def _flat(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return arguments and the fields of configurations among them, by their last name."""
    found: dict[str, object] = {}
    for key, value in arguments.items():
        if isinstance(value, Mapping):
            inner = value.get("$settings", value.get("arguments"))
            found |= _flat(inner) if isinstance(inner, Mapping) else {}
        else:
            found[key] = value
    return found


def _call_line(form: Form, way: Way, name: str) -> str:
    callee = name if way.module is None else "module"
    shown = {key: _shown(recipe, form) for key, recipe in form["arguments"].items()}
    if form["mask"] and form["mask"]["parameter"]:
        shown[form["mask"]["parameter"]] = "key_mask"
    inside = ", ".join(value if key in form["positional"] else f"{key}={value}" for key, value in shown.items())
    picks = (part if str(part).startswith(".") else f"[{part!r}]" for part in form["pick"])
    return f"{callee}({inside}){''.join(picks)}"


def _shown(recipe: object, form: Form) -> str:
    if isinstance(recipe, Mapping):
        if "const" in recipe:
            return python(recipe["const"])
        return "{" + ", ".join(f"{key!r}: {_shown(item, form)}" for key, item in recipe["dict"].items()) + "}"
    names = {"hidden": "hidden_states", "kept": "key_mask", "causal": "is_causal"}
    return names.get(str(recipe), str(recipe).replace(" ", "_"))
