"""Compiles and exports a model, and runs what comes of it beside the model itself.

The backend of `torch.compile` is one that runs the captured graph with PyTorch's own operators: no C++ compiler is
needed, and what is compared is what capturing makes of the model, not what a code generator makes of the graph.
"""

from collections.abc import Mapping

import torch
from torch import nn

from ..calling import arguments_of, called
from ..outputs import flatten
from ..parts import built, identity, inputs_of
from ..phases import phase
from ..plain import encodable
from ..tensors import dump
from .batches import Inputs, batched, chosen, copied, replaced, tensors_of
from .gradients import gradients_of
from .moving import FLOAT32_EPS, moved
from .outputs_alike import moved_runs, run
from .refusing import in_short, refusal


def compiles(specs: str, name: str, seed: int, batch_size: int, backend: str, whole_graph: bool) -> dict[str, object]:
    """Run a batch through the model and through what `torch.compile` makes of it, in eval mode.

    With `whole_graph` a break of the graph is refused. The same code may be captured more than once all the same: a
    later call can differ in what the graph was made for.

    Returns:
        `whole` and, of a second run, `again`; `moved.<i>`; `compiled`; `plain` and `learned`: loss and gradients
        without and with it; `shaken.<i>`: those of the model and its inputs moved by one unit in the last place;
        `frames` that were captured, of those `tried` (with `whole_graph` they are not counted), in so many `graphs`,
        `breaks` of the graph and `why`; `refused`: what was raised, and `refused_at` the places that it names.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    reply: dict[str, object] = identity(model)
    reply |= {"whole": run(model, copied(inputs)), "again": run(model, copied(inputs))}
    reply |= moved_runs(model, inputs, seed)
    reply["plain"] = dump(gradients_of(model, specs, name, copied(inputs), seed))

    def learned_of(given: Inputs) -> dict[str, torch.Tensor]:
        return gradients_of(model, specs, name, given, seed)

    reply |= {f"shaken.{i}": dump(each) for i, each in enumerate(moved(model, inputs, FLOAT32_EPS, seed, learned_of))}
    with phase("compile"):
        import torch._dynamo as dynamo

        dynamo.reset()
        dynamo.utils.counters.clear()
        compiled = torch.compile(model, backend=backend, fullgraph=whole_graph)
        assert isinstance(compiled, nn.Module)
        try:
            # With gradients on, so that what is compiled is what a training step runs, and once for both.
            learned = gradients_of(compiled, specs, name, copied(inputs), seed)
            with torch.enable_grad():
                output = flatten(called(compiled, copied(inputs)))
        except Exception as error:
            return reply | _refused(error)
        breaks = dict(dynamo.utils.counters["graph_break"])
        frames = dict(dynamo.utils.counters["frames"])
        graphs = int(dynamo.utils.counters["stats"]["unique_graphs"])
        dynamo.reset()
    renamed = {key.replace("gradient._orig_mod.", "gradient."): tensor for key, tensor in learned.items()}
    return reply | {
        "compiled": dump(output),
        "learned": dump(renamed),
        "refused": None,
        "frames": int(frames.get("ok", 0)),
        "tried": int(frames.get("total", 0)),
        "graphs": graphs,
        "breaks": sum(breaks.values()),
        "why": in_short(encodable(str(next(iter(breaks), "")))),
    }


def exports(specs: str, name: str, seed: int, batch_size: int, *, dynamic: bool) -> dict[str, object]:
    """Run a batch through the model and through its export; with `dynamic`, a batch of another size as well.

    Returns:
        `whole`, `moved.<i>`, `exported`; with `dynamic` also `whole.dynamic` and `exported.dynamic`; `refused`: what
        was raised while exporting, `refused_dynamic`: what was raised by exporting with a batch of any size, and
        `refused_at` the places that either names.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    reply: dict[str, object] = identity(model)
    reply |= {"whole": run(model, copied(inputs)), "again": run(model, copied(inputs))}
    reply |= moved_runs(model, inputs, seed) | {"refused": None}
    with phase("export"):
        try:
            program = torch.export.export(model, *arguments_of(model, copied(inputs)), strict=False)
        except Exception as error:
            return reply | _refused(error)
    with phase("run the export"), torch.no_grad():
        reply["exported"] = dump(flatten(_run_export(program, model, inputs)))
    if dynamic:
        reply |= _any_batch(model, specs, name, seed, batch_size, inputs)
    return reply


def _run_export(program: torch.export.ExportedProgram, model: nn.Module, inputs: Inputs) -> object:
    ordered, named = arguments_of(model, copied(inputs))
    return program.module()(*ordered, **named)


def _any_batch(
    model: nn.Module, specs: str, name: str, seed: int, batch_size: int, inputs: Inputs
) -> dict[str, object]:
    where = batched(specs, name, seed, batch_size)
    batch = torch.export.Dim("batch", min=2)

    def shape(path: str, value: object) -> object:
        if isinstance(value, torch.Tensor):
            return {where.axes[path]: batch} if path in where.axes else None
        return value if isinstance(value, Mapping) or type(value) in (list, tuple) else None

    shapes = replaced(inputs, shape)
    other = inputs_of(specs, name, seed, batch_size + 2)
    of_other, others = tensors_of(other), tensors_of(inputs)
    fits = all(
        path in of_other and _without(others[path].shape, axis) == _without(of_other[path].shape, axis)
        for path, axis in where.axes.items()
    )
    if not fits:
        other = chosen(inputs, where, [*range(batch_size), *range(batch_size)])
    try:
        with phase("export"):
            ordered, named = arguments_of(model, copied(inputs))
            # Of arguments that forward collects, the export sees a tuple, whatever the specs gave them in.
            collected = {key: tuple(value) for key, value in shapes.items() if key not in named and type(value) is list}
            program = torch.export.export(model, ordered, named, dynamic_shapes={**shapes, **collected}, strict=False)
        with phase("run the export"), torch.no_grad():
            exported = dump(flatten(_run_export(program, model, other)))
    except Exception as error:
        return _refused(error, "refused_dynamic")
    return {
        "exported.dynamic": exported,
        "whole.dynamic": run(model, other),
        "refused_dynamic": None,
    }


def _without(shape: torch.Size, axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _refused(error: Exception, key: str = "refused") -> dict[str, object]:
    reason, places = refusal(error)
    return {key: reason, "refused_at": places}
