"""The lines of a reproducer that build the subject and call it: as its spec does, or as was found out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.attention.decode_stub import decode_lines, has_cache, whole_lines
from audit.attention.spec.stub import functions_of, names_in
from audit.attention.subject import AttentionSubject
from audit.target import Target


class Unwritable(Exception):
    """No script can be written; the message says why."""


def calling(subject: AttentionSubject, target: Target, *, is_class: bool) -> list[str]:
    """Return lines that define `build()`, and `attend(inputs, module)` on a dict of tensors.

    Raises:
        Unwritable: what was found out cannot be written as plain Python.
    """
    return paths_of(subject, target) + called_only(subject, is_class=is_class)


def called_only(subject: AttentionSubject, *, is_class: bool) -> list[str]:
    """Return the lines of `calling` without those of `paths_of`; raises as it does."""
    source: Mapping[str, Any] = dict(subject.source)
    return _of_spec(subject, source) if source["kind"] == "spec" else _of_guess(subject, source, is_class)


def paths_of(subject: AttentionSubject, target: Target) -> list[str]:
    """Return the lines that put the target's folder on the path; raises as `calling` does."""
    source: Mapping[str, Any] = dict(subject.source)
    folders = [_relative(target.source, target.root)]
    if source["kind"] == "guess":
        folders = [_relative(_above(Path(source["path"]), source["module"]), target.root)]
    lines = ['FOLDER = sys.argv[1] if len(sys.argv) > 1 else "."  # where the target is']
    if file := _file_of(subject, source, target):
        lines += [f"if not os.path.isfile(os.path.join(FOLDER, {file!r})):"]
        lines += [f'    print("cannot be told: no file", {file!r}, "in", FOLDER, "- give the folder of the target")']
        lines += ["    sys.exit(2)"]
    return lines + [f"sys.path.insert(0, os.path.join(FOLDER, {folder!r}))" for folder in folders]


def _above(path: Path, module: str | None) -> Path:
    """Return the folder from which a file is seen under the name of its module."""
    if not module:
        return path.parent
    return path.parents[module.count(".") + (path.stem == "__init__")]


def _file_of(subject: AttentionSubject, source: Mapping[str, Any], target: Target) -> str | None:
    """Return the file that holds the subject, or builds it, in the target's folder; None where it is not known."""
    if source["kind"] == "guess":
        return _relative(Path(source["path"]), target.root)
    module = target.source.joinpath(*str(source["specs"]).split("."))
    files = (module.with_name(f"{module.name}.py"), module / "__init__.py")
    return next((_relative(file, target.root) for file in files if file.is_file()), None)


def _relative(folder: Path, root: Path) -> str:
    try:
        return folder.relative_to(root).as_posix()
    except ValueError:
        raise Unwritable("its file is outside the target's folder") from None


def _of_spec(subject: AttentionSubject, source: Mapping[str, Any]) -> list[str]:
    lines = ["", "", "def spec():", f"    return import_module({source['specs']!r}).ATTENTION[{source['name']!r}]", ""]
    if subject.is_function:
        lines += ["", "def build():", "    return None", "", "", "def attend(inputs, module):"]
        lines += ['    names = ("query", "key", "value")']
        call = '*(inputs[name] for name in names), is_causal=IS_CAUSAL, mask=inputs.get("mask")'
        return [*lines, f'    return spec()["forward"]({call})']
    lines += ["", "def build():", '    return spec()["build"]()', "", "", "def attend(inputs, module):"]
    across = ', context=inputs["context"]' if subject.contract.context_dim else ""
    call = f'module, inputs["hidden_states"], inputs.get("key_mask"){across}'
    return [*lines, f'    return spec()["forward"]({call})']


def _of_guess(subject: AttentionSubject, source: Mapping[str, Any], is_class: bool) -> list[str]:
    qualname, choices = str(source["qualname"]), source["choices"]
    module = source["module"] or Path(source["path"]).stem
    _check_names([*module.split("."), *qualname.split(".")])
    _check_choices(choices)
    names = sorted({qualname.partition(".")[0], *names_in(choices)})
    try:
        body = functions_of(choices, qualname, is_class=is_class)
        if has_cache(choices):
            body += decode_lines(choices, qualname=qualname) + whole_lines(choices, qualname=qualname)
    except KeyError as unknown:
        raise Unwritable(f"the call needs {unknown}, for which no line of Python is known") from None
    lines = [
        "try:",
        f"    from {module} import {', '.join(names)}",
        "except Exception:",
        "    traceback.print_exc()",
        '    print("cannot be told: it cannot be imported")',
        "    sys.exit(2)",
        "",
    ]
    if "Settings(" in "\n".join(body):
        lines += ["", "class Settings(SimpleNamespace):", "    def __getitem__(self, name):"]
        lines += ["        return getattr(self, name)", ""]
    lines += ["", *body]
    if subject.is_function:
        lines += [] if is_class else ["def build():", "    return None", "", ""]
        call = 'inputs["query"], inputs["key"], inputs["value"], IS_CAUSAL, inputs.get("mask")'
        return [*lines, "def attend(inputs, module):", f"    return forward({call})"]
    across = ', inputs["context"]' if subject.contract.context_dim else ""
    call = f'module, inputs["hidden_states"], inputs.get("key_mask"){across}'
    return [*lines, "def attend(inputs, module):", f"    return forward({call})"]


def _check_names(names: Sequence[str]) -> None:
    if not all(name.isidentifier() for name in names):
        raise Unwritable("a name in it is no Python name")


def _check_choices(value: object) -> None:
    """Check that whatever is written out unquoted is a name: the choices come from the target's process."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("$call", "$name"):
                _check_names(str(item).split("."))
            elif key == "pick":
                _check_names([part[1:] for part in item if isinstance(part, str) and part.startswith(".")])
            elif key in ("heads", "rope") and not isinstance(item, int | None):
                raise Unwritable("a size in it is no number")
            else:
                _check_choices(item)
        if isinstance(arguments := value.get("arguments"), Mapping):
            _check_names(list(arguments))
        if isinstance(parameter := value.get("parameter"), str) and parameter:
            _check_names([parameter])
        if isinstance(cache := value.get("cache"), Mapping):
            named = [cache["reset"] or "_", *cache["flags"], *cache["starts"], *cache["positions"]]
            _check_names([*map(str, named), *(str(part)[1:] for part in cache["path"] or () if str(part)[:1] == ".")])
        if isinstance(settings := value.get("$settings"), Mapping):
            _check_names(list(settings))
        if isinstance(opened := value.get("opened"), list):
            _check_names([part.replace(".", "_") for part in map(str, opened)])
    elif isinstance(value, list):
        for item in value:
            _check_choices(item)
