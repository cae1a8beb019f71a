"""Whole reproducer scripts: text that runs with torch and the target and nothing else."""

from dataclasses import dataclass

from audit.attention.contract import Contract, Dtype
from audit.attention.reproducers.reference import reference
from audit.attention.reproducers.relations import Relation, Setting
from audit.attention.subject import AttentionSubject

_DOCUMENTATION = '''"""Shows a defect of attention: exits 1 while the defect is there, and 0 when it is gone.

It needs torch and the target. Run it in the folder of the target, or give that folder: python SCRIPT FOLDER
It exits 2 when the target cannot be built or called, so that nothing can be told.
"""
'''
_OPEN_GATES = '''
def open_gates(module):
    """Give numbers to parameters that begin as zero or nearly so, behind which nothing would show."""
    drawn = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in [] if module is None else module.parameters():
            if parameter.requires_grad and parameter.is_floating_point() and parameter.abs().max() <= 1e-3:
                parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.5)

'''
_SET_DROPOUT = '''
def set_dropout(module, probability):
    """Set the probability of every dropout in the module."""
    for layer in module.modules():
        is_layer = isinstance(layer, torch.nn.modules.dropout._DropoutNd)
        for name in {"p"} if is_layer else DROPOUTS & set(vars(layer)):
            if type(getattr(layer, name)) in (int, float):
                setattr(layer, name, probability)

'''
_DROPOUTS = (
    'DROPOUTS = {"dropout", "dropout_p", "attn_dropout", "attention_dropout", "dropout_prob", "attn_drop", "drop", '
    '"drop_prob"}'
)
_DISTANCE = '''
def distance(x, y):
    """Return the largest absolute difference; infinite where it is not a number."""
    if x.shape != y.shape:
        return float("inf")
    difference = float((x.double() - y.double()).abs().max())
    return difference if difference == difference else float("inf")

'''
_STEPS = '''
def bound_of(expected, inputs, module):
    """Return how far rounding may bring a correct implementation from what is expected.

    {factor} x the largest change of it when every element of the input moves by one unit in the last place of {dtype},
    plus 2 x the rounding of the result{floor}.
    """
    eps = torch.finfo(torch.{dtype}).eps
    drawn = torch.Generator().manual_seed(SEED)
    change = 0.0
    for _ in range(4):
        near = dict(inputs)
        for name, x in inputs.items():
            if x.is_floating_point():
                signs = torch.randint(0, 2, x.shape, generator=drawn) * 2 - 1
                near[name] = (x.detach() * (1 + eps * signs)).to(x.dtype)
        change = max(change, distance(compare(near, module)[1], expected))
    rounded = expected.to(torch.{dtype})
    return {factor} * change + 2 * distance((rounded + 0.3) - 0.3, rounded){floor_term}

'''
_RESULT = '''
def bound_of(expected, inputs, module):
    """Return what the rounding of a result may be: 8 units in the last place."""
    return 8 * torch.finfo(DTYPE).eps * float(expected.abs().max())

'''
_NOTHING = '''
def bound_of(expected, inputs, module):
    """Return 0: nothing may come between."""
    return 0.0

'''
_MAIN = """
def main():
    try:
        torch.manual_seed(SEED)
        module = build()
        if module is not None:
            module = module.to(DTYPE).eval()
        open_gates(module)
        inputs = inputs_of()
        with torch.set_grad_enabled({gradient}):
            plain = attend(inputs_of(plain=True), module)
            observed, expected = compare(inputs, module)
            bound = bound_of(expected, inputs, module)
    except Exception:
        traceback.print_exc()
        print("cannot be told: it cannot be built or called")
        return 2
    if not plain.isfinite().all() or not expected.isfinite().all() or not bound < float("inf"):
        print("cannot be told: the output for plain inputs, or what is compared with, is not finite")
        return 2
    error = distance(observed, expected)
    MEASURED.update(error=error, bound=bound)
    print("must hold of", {says!r})
    print(f"case: {{CASE}}")
    for name, x in (("observed", observed), ("expected", expected)):
        print(f"{{name}}, the first numbers: {{[round(each, 5) for each in x.flatten()[:6].tolist()]}}")
    print(f"largest difference {{error:.4g}}, bound {{bound:.4g}}: it must be {relation}")
    return {verdict}


if __name__ == "__main__":
    sys.exit(main())
"""
_VARIANTS = {
    "bfloat16": "in bfloat16",
    "float16": "in float16",
    "dropout": "every dropout at 0.5",
    "transposed": "as transposed views",
    "sliced": "as slices",
    "stepped": "as every second element",
    "input": "against other inputs",
    "key": "against another first token",
}


@dataclass(frozen=True, kw_only=True)
class Script:
    """A text, and the case in words."""

    text: str
    case: str


def script_of(subject: AttentionSubject, relation: Relation, setting: Setting, calling: list[str], seed: int) -> Script:
    """Return the script that shows whether a subject fulfils a relation under a setting.

    `calling` are the lines that define `build` and `attend`.
    """
    case, dtype = _case(subject, setting), subject.finest_dtype
    lines = ["import os", "import sys", "import traceback", "from importlib import import_module"]
    lines += ["from types import SimpleNamespace", "", "import torch", "from torch import Tensor", ""]
    body = [f"    {line}" if line else "" for line in relation.lines(subject, setting)]
    constants = [
        f"SUBJECT = {subject.name!r}",
        f"CASE = {case!r}",
        f"BATCH, LENGTH, IS_CAUSAL, SEED = {setting.batch}, {setting.length}, {setting.is_causal}, {seed}",
        f"DTYPE = torch.{dtype}",
        "MEASURED = {}",
        "generator = torch.Generator()",
    ]
    needs_dropout = any("set_dropout(" in line for line in body)
    constants += [_DROPOUTS] if needs_dropout else []
    parts = [
        _DOCUMENTATION,
        "\n".join([*lines, *constants, "", *calling, ""]),
        "\n".join(["", *_inputs(subject, setting), ""]),
        "\n".join(["", *reference(subject), ""]) if relation.needs_reference else "",
        _OPEN_GATES,
        _SET_DROPOUT if needs_dropout else "",
        _DISTANCE,
        "\n".join([*_compare(relation), *body, ""]),
        _bound(relation, setting, dtype),
        _MAIN.format(
            gradient=relation.with_gradient,
            says=f"{subject.name}: {relation.says}",
            relation="above" if relation.differs else "at most that",
            verdict="int(error <= bound)" if relation.differs else "int(not error <= bound)",
        ),
    ]
    text = "\n".join(part.strip("\n") + "\n\n" for part in parts if part).rstrip("\n") + "\n"
    return Script(text=_unused_left_out(text), case=case)


def _compare(relation: Relation) -> list[str]:
    says = relation.says[0].upper() + relation.says[1:]
    return ["", "def compare(inputs, module):", f'    """{says}."""', "    generator.manual_seed(SEED + 1)"]


def _bound(relation: Relation, setting: Setting, dtype: Dtype) -> str:
    if relation.bound == "nothing":
        return _NOTHING
    if relation.bound == "result":
        return _RESULT
    low = setting.variant if setting.variant in ("bfloat16", "float16") else None
    floor, term = (
        ("", "") if low else (", and 8 units in its last place", " + 8 * eps * float(expected.detach().abs().max())")
    )
    # As audit's own bounds: 8 steps that round, and each of both sides may be wrong by them.
    return _STEPS.format(factor=4 if low else 16, dtype=low or dtype, floor=floor, floor_term=term)


def _inputs(subject: AttentionSubject, setting: Setting) -> list[str]:
    contract = subject.contract
    lines = ["def normal(*shape):"]
    lines += ["    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DTYPE)", "", ""]
    lines += ["def inputs_of(plain=False):", "    generator.manual_seed(SEED)"]
    names: dict[str, str] = {}
    if subject.is_function:
        queries = setting.queries or setting.length
        sizes = {
            "query": (contract.heads, queries),
            "key": (contract.kv_heads, setting.length),
            "value": (contract.kv_heads, setting.length),
        }
        for name, (heads, length) in sizes.items():
            drawn = f"normal(BATCH, {heads}, {length}, {contract.dim})"
            hot = f"torch.eye({length}, {contract.dim}, dtype=DTYPE).repeat(BATCH, {heads}, 1, 1)"
            names[name] = hot if setting.content == "one-hot" else drawn
        mask, shape = "mask", "BATCH, 1, 1, LENGTH"
    else:
        drawn = f"normal(BATCH, LENGTH, {contract.embed_dim})"
        hot = f"torch.eye(LENGTH, {contract.embed_dim}, dtype=DTYPE).repeat(BATCH, 1, 1)"
        names["hidden_states"] = hot if setting.content == "one-hot" else drawn
        mask, shape = "key_mask", "BATCH, LENGTH"
        if contract.context_dim is not None:
            names["context"] = f"normal(BATCH, {_context_length(setting)}, {contract.context_dim})"
            shape = f"BATCH, {_context_length(setting)}"
    lines += ["    inputs = {", *(f"        {name!r}: {value}," for name, value in names.items()), "    }"]
    if setting.factor != 1:
        grown = tuple(name for name in names if name != "value")
        lines += ["    if not plain:", f"        for name in {grown!r}:"]
        lines += [f"            inputs[name] = {setting.factor!r} * inputs[name]"]
    if setting.padding:
        where = {"left": "0, ..., :1", "right": "0, ..., -1:", "all": "0"}[setting.padding]
        lines += ["    if not plain:", f"        inputs[{mask!r}] = torch.ones({shape}, dtype=torch.bool)"]
        lines += [f"        inputs[{mask!r}][{where}] = False  # True = may be attended to"]
    return [*lines, "    return inputs"]


def _context_length(setting: Setting) -> int:
    return setting.length + 1


def _case(subject: AttentionSubject, setting: Setting) -> str:
    contract: Contract = subject.contract
    if subject.is_function:
        sizes = f"{setting.batch} x {contract.heads} heads x {setting.length} keys of size {contract.dim}"
        sizes += f", {setting.queries} queries" if setting.queries else ""
        sizes += ", causal" if setting.is_causal else ""
    else:
        sizes = f"{setting.batch} x {setting.length} tokens of width {contract.embed_dim}"
        sizes += f", a context of {_context_length(setting)} tokens" if contract.context_dim else ""
    held = {"one-hot": "one-hot tokens", "normal": "normal tokens"}[setting.content]
    masked = {"": "", "left": "first key", "right": "last key", "all": "every key"}[setting.padding]
    parts = [sizes, held if setting.factor == 1 else f"{held} times {setting.factor:g}"]
    parts += [f"{masked} of the first sample masked"] if masked else []
    if setting.variant:
        parts.append(_VARIANTS.get(setting.variant) or f"in chunks of {setting.variant}")
    return ", ".join(parts)


def _unused_left_out(text: str) -> str:
    """Return the script without the imports that nothing in it uses."""
    for line, name in (
        ("from importlib import import_module\n", "import_module("),
        ("from types import SimpleNamespace\n", "SimpleNamespace)"),
        ("from torch import Tensor\n", ": Tensor"),
    ):
        if text.count(name) == 0:
            text = text.replace(line, "", 1)
    return text
