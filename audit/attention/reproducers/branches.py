"""Scripts that show a branch which computes something else than the plain one does."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from audit.attention.branching import TRITON
from audit.attention.cases import key_length
from audit.attention.properties.branches import Apart, apart
from audit.attention.reproducers.call import called_only, paths_of
from audit.attention.reproducers.scripts import Script, script_of
from audit.attention.reproducers.settings import Relation, Setting
from audit.attention.reproducers.standin_texts import imports_text, pretended_text, standin_text
from audit.attention.subject import AttentionSubject
from audit.plan import Run

_LENGTHS = (2, 3, 5, 11, 22)  # twice the usual length leaves windows as long as that
_TOLD = ("attn_mask should not be set when is_causal", "of its tensor", "that the cache has for a sample")
_IMPORTS = """
import importlib.metadata
from contextlib import ExitStack, contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
"""
_HEAD = '''
BEFORE = set(sys.modules)


def forget():
    """Have the target imported anew, so that it looks again for what is installed."""
    for name in set(sys.modules) - BEFORE:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if path.startswith(os.path.abspath(FOLDER)) and "site-packages" not in path:
            del sys.modules[name]
'''
_WITHOUT_SDPA = '''
@contextmanager
def without_sdpa():
    """Have a torch without fused attention."""
    before = torch.nn.functional.scaled_dot_product_attention
    del torch.nn.functional.scaled_dot_product_attention
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = before
'''
_KERNELS = {"math": "MATH", "flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION"}


def branch_scripts(subject: AttentionSubject, run: Run, *, is_class: bool) -> Iterator[tuple[str, list[Script]]]:
    """Yield for each branch that is wrong its name and its scripts, the smallest first.

    Raises:
        Unwritable: what was found out cannot be written as plain Python.
    """
    source = _source_of(subject, run)
    for each in apart(subject, run):
        library = str(each.branch.forced.get("library") or "")
        if library.split("+")[0] == TRITON or "+" in library:
            continue  # an interpreter is no small function; of several libraries which one is called is not told
        relation = Relation(
            says=f"the branch '{each.branch.name}' gives what the plain one gives",
            lines=functools.partial(_compare, each),
            settings=functools.partial(_settings, each),
        )
        before, calling = _before(each, source), _calling(subject, run, each, is_class=is_class)
        yield (
            each.branch.name,
            [
                script_of(
                    subject, relation, setting, calling, run.seed,
                    before=before, dtype=each.dtype, rounded=each.rounded,
                )
                for setting in relation.settings(subject)
            ],
        )  # fmt: skip


def _source_of(subject: AttentionSubject, run: Run) -> str:
    """Return the text of the file that defines the subject."""
    path = subject.source.get("path")
    if not isinstance(path, str):
        module = subject.declared.partition(":")[0]
        path = str(run.target.source.joinpath(*module.split(".")))
        path = path + ".py" if Path(path + ".py").is_file() else path + "/__init__.py"
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _before(each: Apart, source: str) -> str:
    forced = each.branch.forced
    parts = []
    if library := forced.get("library"):
        parts.append(standin_text(str(library), source))
    if forced.get("cuda"):
        parts.append(pretended_text())
    if forced.get("without_sdpa"):
        parts.append(_WITHOUT_SDPA.strip("\n"))
    text = "\n\n\n".join(parts)
    return "\n".join(filter(None, (imports_text(text), _IMPORTS.strip("\n"), "\n" if text else "", text)))


def _calling(subject: AttentionSubject, run: Run, each: Apart, *, is_class: bool) -> list[str]:
    """Return the lines of `target()` and `other()`, which import, and of the context `branch()`."""
    lines = [*_HEAD.strip("\n").split("\n"), "", "", *paths_of(subject, run.target)]
    for name, of in (("target", subject), ("other", each.branch.of(subject))):
        own = called_only(of, is_class=is_class)
        lines += ["", "", f"def {name}():", "    forget()"]
        lines += [f"    {line}" if line else "" for line in own]
        lines += ["    return build, attend"]
    forced = each.branch.forced
    entered = []
    if forced.get("library"):
        entered.append("stand_in()")
    if forced.get("cuda"):
        entered.append("pretended()")
    if forced.get("without_sdpa"):
        entered.append("without_sdpa()")
    if kernel := forced.get("sdpa"):
        backend = f"torch.nn.attention.SDPBackend.{_KERNELS[str(kernel)]}"
        entered.append(f"torch.nn.attention.sdpa_kernel({backend})")
    lines += ["", "", "@contextmanager", "def branch():", f'    """{each.branch.name}."""']
    lines += ["    with ExitStack() as stack:", *(f"        stack.enter_context({text})" for text in entered)]
    return [*lines, "        yield", "", "", "build, attend = target()", "", ""]


def _compare(each: Apart, subject: AttentionSubject, setting: Setting) -> list[str]:
    attributes = cast(Mapping[str, object], each.branch.forced.get("attributes") or {})
    lines = [
        "with branch():",
        "    build_other, attend_other = other()",
        "    torch.manual_seed(SEED)  # the same weights",
        "    twin = build_other()",
        "    if twin is not None:",
        "        twin = twin.to(DTYPE).eval()",
        "    open_gates(twin)",
    ]
    for name, value in attributes.items():
        lines += ["    for part in twin.modules():", f"        if {name!r} in vars(part):"]
        lines += [f"            setattr(part, {name!r}, {value!r})"]
    if "dropout" in each.case.circumstances:
        probability = float(str(each.case.circumstances["dropout"]))
        lines += [f"    set_dropout(twin, {probability!r})  # in eval mode it does not act, whatever it is"]
    if not each.told:
        lines += ["    observed = attend_other(inputs, twin)"]
        if setting.padding and "key_mask" in each.case.tensors and "context" not in each.case.tensors:
            lines += ["expected = attend(inputs, module)", 'kept = inputs["key_mask"]  # a padded query is nobody\'s']
            return [*lines, "return observed[kept], expected[kept]"]
        return [*lines, "return observed, attend(inputs, module)"]
    known = next((text for text in _TOLD if text in each.told), each.told)
    return [
        *lines,
        "    try:",
        "        observed = attend_other(inputs, twin)",
        "    except RuntimeError as error:",
        f"        if {known!r} not in str(error):",
        "            raise",
        '        print("it raises", error)',
        '        observed = torch.full((), float("inf"))',
        "return observed, attend(inputs, module)",
    ]


def _settings(each: Apart, subject: AttentionSubject) -> list[Setting]:
    """Return settings like the case that shows it, the smallest first."""
    mask = each.case.tensors.get("key_mask", each.case.tensors.get("mask"))
    side = ""
    if mask is not None:
        first = mask[0].reshape(-1, mask.shape[-1])[0]
        side = "all" if not bool(first.any()) else "right" if bool(first[0]) else "left"
    queries, keys = each.case.inputs.shape[-2], key_length(each.case)
    is_uneven = "query" in each.case.tensors and queries != keys
    return [
        Setting(
            length=length,
            batch=batch,
            padding=side,
            content="normal",
            is_causal=each.case.is_causal,
            queries=None if not is_uneven else max(1, length // 2) if queries < keys else length + 1,
        )
        for length in _LENGTHS
        for batch in ((2,) if side else (1, 2))
    ]
