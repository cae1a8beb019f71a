"""The class that runs a processor: an object that computes attention with the layers of a module that is handed to it.

So it is written in diffusers: `Attention(..., processor=AttnProcessor())` calls `processor(self, hidden_states, ...)`.
"""

import inspect
from collections.abc import Iterator, Mapping

from .reading import is_module_class, parameters_of
from .searching import namespace_of

PROCESSOR = "processor"
_FIRST = ("attn", "attention", "attn_module")
_USUAL = "Attention"


def host_of(processor: type) -> str | None:
    """Return the name, in the processor's module, of the class that is built with it; None where there is none."""
    call = vars(processor).get("__call__")
    if not inspect.isfunction(call):
        return None
    parameters = parameters_of(call)[1:]
    if not parameters or parameters[0].name not in _FIRST:
        return None
    namespace = namespace_of(processor)
    for name in _likeliest_first(processor, parameters[0].annotation, namespace):
        host = namespace.get(name)
        if isinstance(host, type) and is_module_class(host) and _takes_one(host):
            return name
    return None


def _likeliest_first(processor: type, annotation: object, namespace: Mapping[str, object]) -> Iterator[str]:
    for name, value in namespace.items():
        known = (getattr(value, "_default_processor_cls", None), *(getattr(value, "_available_processors", None) or ()))
        if isinstance(value, type) and processor in known:
            yield name
    yield str(getattr(annotation, "__name__", annotation)).strip("'\"")
    yield _USUAL


def _takes_one(host: type) -> bool:
    return any(each.name == PROCESSOR for each in parameters_of(host))
