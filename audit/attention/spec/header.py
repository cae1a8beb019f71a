"""What stands at the head of a specs module that is printed: where it belongs, and what `pyproject.toml` has to say."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from audit.target import TABLE, Settings

_TRIED = (".", "src")  # the folders in which a package is found without being told
_NAME = "specs"
_MOST_LISTED = 8


def header_lines(
    module: str, path: Path, *, root: Path | None = None, settings: Settings | None = None, is_model: bool = False
) -> list[str]:
    """Return comments with the names that are right for this module.

    Args:
        module: import name of what is declared, as it is seen from the folder of its topmost package.
        path: its file.
        root: the folder whose `pyproject.toml` counts; that in which the topmost package lies when left out.
        settings: what that says already.
        is_model: whether what is declared is a model, and no attention.
    """
    command, section = ("smoke", "MODELS") if is_model else ("attention", "ATTENTION")
    package, *inner = module.split(".")
    folder = path.parent if path.stem != "__init__" else path.parent.parent
    for _ in inner:
        folder = folder.parent
    root = root if root is not None and folder.is_relative_to(root) else folder
    if settings is not None and settings.specs is not None:
        return [
            f"# {TABLE} in pyproject.toml names the specs already: {settings.specs}. Save this there,",
            f"# or add what {section} holds to what it holds there.",
        ]
    within = folder.relative_to(root)
    is_folder = bool(inner) or path.stem == "__init__"
    specs = f"{package}.{_NAME}" if is_folder else _NAME
    file = (within / Path(*specs.split("."))).as_posix() + ".py"
    lines = [
        f"# Save this as {file}, seen from the folder of the pyproject.toml that has to say",
        "#",
        f"#     {TABLE}",
        f"#     package = {json.dumps((settings and settings.package) or package)}",
        f"#     specs = {json.dumps(specs)}",
    ]
    if within.as_posix() not in _TRIED:
        lines.append(f"#     source = {json.dumps(within.as_posix())}")
    return [
        *lines,
        "#",
        f"# Then `astrobio-audit {command} --target FOLDER`, with that folder, judges what stands in {section}.",
    ]


def models_lines(module: str) -> list[str]:
    """Return an empty MODELS, and in comments what it is for and how an entry is written."""
    return [
        "# Whole models, for `smoke`, `train` and `readiness`, which build, feed and train each. `attention` needs",
        "# none; left empty, as here, `smoke` fails smoke.declared: there is nothing that it could audit.",
        "MODELS: dict[str, dict[str, object]] = {",
        '    # "name": {',
        f'    #     "class": "{module}:Model",  # where the sources define it',
        '    #     "build": lambda: Model(...),',
        "    #     # The arguments of forward, with `import torch`; every random number comes from the generator.",
        '    #     "inputs": lambda batch_size, generator: {"x": torch.randn(batch_size, 8, 32, generator=generator)},',
        '    #     "loss": lambda output, inputs: output.square().mean(),  # decide: what it is trained to',
        "    # },",
        "}",
    ]


def none_lines(elsewhere: Sequence[str]) -> list[str]:
    """Return the comments of an empty ATTENTION beside a model; `elsewhere` is attention near it, as `FILE::NAME`."""
    if not elsewhere:
        return [
            "    # none was found that it computes by itself; what other classes compute is declared under their names"
        ]
    shown = [f"    # also: astrobio-audit spec {shlex.quote(each)}" for each in elsewhere[:_MOST_LISTED]]
    more = len(elsewhere) - len(shown)
    return [
        "    # none for the model itself; the inventory finds attention in the files of its package that it may use:",
        *shown,
        *([f"    # and {more} more; see `astrobio-audit static`"] if more else []),
    ]
