"""Whole reproducer scripts: text that runs with torch and the target and nothing else."""

from dataclasses import dataclass

from audit.attention.contract import Contract, Dtype
from audit.attention.reproducers import texts
from audit.attention.reproducers.reference import reference
from audit.attention.reproducers.settings import PROMPT, Relation, Setting
from audit.attention.subject import AttentionSubject

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
    """A text, the case in words, and whether what it measures must exceed its bound."""

    text: str
    case: str
    must_exceed: bool


def script_of(
    subject: AttentionSubject,
    relation: Relation,
    setting: Setting,
    calling: list[str],
    seed: int,
    *,
    before: str = "",
    dtype: Dtype | None = None,
    rounded: Dtype | None = None,
) -> Script:
    """Return the script that shows whether a subject fulfils a relation under a setting.

    Args:
        subject: what is called.
        relation: that it must fulfil.
        setting: the inputs.
        calling: the lines that define `build` and `attend`.
        seed: of weights and inputs.
        before: text that `calling` needs.
        dtype: of weights and inputs; the finest that is declared where it is left out.
        rounded: what some step may be rounded to; the same where it is left out.
    """
    case, dtype = _case(subject, setting), dtype or subject.finest_dtype
    lines = ["import os", "import signal", "import sys", "import tempfile", "import traceback"]
    lines += ["from importlib import import_module"]
    lines += ["from types import SimpleNamespace", "", "import torch", "from torch import Tensor", ""]
    lines[:0] = ["from __future__ import annotations", ""] if before else []
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
    watches = any("watched(" in line for line in body)
    if watches:
        lines[-1:] = ["from torch.utils._python_dispatch import TorchDispatchMode", ""]
        groups = (subject.contract.num_heads or 1) // (subject.contract.num_kv_heads or 1)
        constants += [f"GROUPS = {groups}  # query heads that share a key head"]
    parts = [
        texts.DOCUMENTATION,
        "\n".join([*lines, *constants, "", *([before, "", ""] if before else []), *calling, ""]),
        "\n".join(["", *_inputs(subject, setting), ""]),
        "\n".join(["", *reference(subject), ""]) if relation.needs_reference else "",
        texts.OPEN_GATES,
        texts.SET_DROPOUT if needs_dropout else "",
        texts.WATCHED if watches else "",
        texts.DISTANCE,
        "\n".join([*_compare(relation), *body, ""]),
        _bound(relation, setting, rounded or dtype),
        texts.MAIN.format(
            gradient=relation.with_gradient,
            numbers="any" if relation.some_rows else "all",
            says=f"{subject.name}: {relation.says}",
            relation="above" if relation.differs else "at most that",
            verdict="int(error <= bound)" if relation.differs else "int(not error <= bound)",
        ),
    ]
    text = "\n".join(part.strip("\n") + "\n\n" for part in parts if part).rstrip("\n") + "\n"
    return Script(text=_unused_left_out(text), case=case, must_exceed=relation.differs)


def _compare(relation: Relation) -> list[str]:
    says = relation.says[0].upper() + relation.says[1:]
    return ["", "def compare(inputs, module):", f'    """{says}."""', "    generator.manual_seed(SEED + 1)"]


def _bound(relation: Relation, setting: Setting, dtype: Dtype) -> str:
    if relation.bound == "nothing":
        return texts.NOTHING
    if relation.bound == "thousandth":
        return texts.THOUSANDTH
    if relation.bound == "result":
        return texts.RESULT
    low = setting.variant if setting.variant in ("bfloat16", "float16") else None
    floor, term = (
        ("", "") if low else (", and 8 units in its last place", " + 8 * eps * float(expected.detach().abs().max())")
    )
    # As audit's own bounds: 8 steps that round, and each of both sides may be wrong by them.
    return texts.STEPS.format(factor=4 if low else 16, dtype=low or dtype, floor=floor, floor_term=term)


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
        chunks = setting.variant if setting.variant == PROMPT else f"in chunks of {setting.variant}"
        parts.append(_VARIANTS.get(setting.variant) or chunks)
    return ", ".join(parts)


def _unused_left_out(text: str) -> str:
    """Return the script without the imports that nothing in it uses."""
    for line, name in (
        ("import signal\n", "signal."),
        ("import tempfile\n", "tempfile."),
        ("from importlib import import_module\n", "import_module("),
        ("from types import SimpleNamespace\n", "SimpleNamespace)"),
        ("from torch import Tensor\n", ": Tensor"),
    ):
        if text.count(name) == 0:
            text = text.replace(line, "", 1)
    return text
