"""The section TRAINING of a specs module that is begun: the model that a trainer builds, and its command."""

import ast
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from audit.report.text import one_line
from audit.starting.entries import begun, named
from audit.starting.table import quoted
from audit.static.inventory import InventoryItem

_MOST_LISTED = 40
_MOST_OPTIONS = 12
# What trainers call the options that a command has to set, the usual ones first.
_STEPS = (
    "--steps",
    "--max-steps",
    "--max_steps",
    "--num-steps",
    "--num_steps",
    "--iterations",
    "--max-iters",
    "--iters",
)
_OUTPUT = (
    "--output", "--output-dir", "--output_dir", "--checkpoint-dir", "--checkpoint_dir", "--ckpt-dir", "--save-dir",
    "--save_dir", "--out", "--out-dir", "--out_dir", "--run-dir", "--logdir", "--log-dir",
)  # fmt: skip
_DECLARING = frozenset(("add_argument", "option", "Option"))  # of argparse, click and typer


def training_lines(models: Sequence[InventoryItem], scripts: Sequence[InventoryItem], root: Path) -> list[str]:
    """Return an entry for the model that a trainer of the package builds, else for the first one."""
    lines = ["TRAINING: dict[str, dict[str, object]] = {"]
    taken: set[str] = set()
    names = [(item, named(item, taken)) for item in models]  # as MODELS has them
    for item, name in _trained(names, scripts):
        lines += [
            "    # One entry for each model that is trained, by its own batches and loss:",
            *begun(item, name),
            f'        "build": MODELS[{quoted(name)}]["build"],',
            '        "batches": lambda seed, start_step: lambda step: ...,  # decide: the batch of a step',
            '        "loss": lambda model, batch: ...,',
            "        # The package's own trainer; {checkpoint_dir} is a folder that is not there yet:",
        ]
        commands = (each for script in scripts[:_MOST_LISTED] for each in _command(script, root))
        lines += [f"        # {each}" for each in ((*commands,) if scripts else (_line("..."),))]
        lines += ["    },"]
    return [*lines, "}"]


def _trained(
    models: Sequence[tuple[InventoryItem, str]], scripts: Sequence[InventoryItem]
) -> Sequence[tuple[InventoryItem, str]]:
    """Return the one model to begin with, with its name; none where there is none."""
    built = {name for script in scripts if isinstance(names := script.facts.get("models"), tuple) for name in names}
    return [*(each for each in models if f"{each[0].module}.{each[0].qualname}" in built), *models][:1]


def _command(script: InventoryItem, root: Path) -> Iterator[str]:
    options = _options(root / script.path)
    steps = next((each for each in _STEPS if each in options), None)
    output = next((each for each in _OUTPUT if each in options), None)
    resumes = "--resume" in options
    if options and not (steps and output and resumes):
        told = ", ".join(map(one_line, options[:_MOST_OPTIONS])) + (", ..." if len(options) > _MOST_OPTIONS else "")
        yield f"It takes {told}{'' if resumes else '; what resumes it is said by the key resume'}:"
    yield _line(one_line(shlex.quote(script.path), limit=None), steps or _STEPS[0], output or _OUTPUT[0])


def _line(file: str, steps: str = _STEPS[0], output: str = _OUTPUT[0]) -> str:
    line = f"{{python}} {file} {steps} {{steps}} {output} {{checkpoint_dir}} {{resume}}"
    return f'"command": {quoted(line)},'


def _options(path: Path) -> list[str]:
    """Return the long options that a file's source declares, in order; none where it says no more what was read."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    texts = (
        (each.lineno, each.value)
        for call in calls
        if _name_of(call.func) in _DECLARING
        for each in call.args
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )
    return list(dict.fromkeys(text for _, text in sorted(texts) if text.startswith("--") and text.isprintable()))


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
