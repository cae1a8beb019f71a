"""Writes packages of small models or data sets, one edit apart, and carries smoke checks out on them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke

HEAD = """
import sys, types
import torch
from torch import nn

NAN = float("nan")
KEPT = []
TABLE = torch.ones(2)

class Right(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
    def forward(self, x):
        return self.layer(x)
"""
CLASS = """
class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
        {built}
    def forward(self, {arguments}):
        {forward}
"""
SPECS = """
import torch
from zoo import models

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 6, generator=generator)}

def loss(output, inputs):
    return (output - inputs["x"][:, :2]).square().mean()

def entry_of(name):
    return {"class": f"zoo.models:{name}", "build": getattr(models, name), "inputs": inputs, "loss": loss}

MODELS = {}
ATTENTION = {}
"""
SETTINGS = '[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 2\ntimeout_s = 60\n'


class Model(NamedTuple):
    """A model that holds one linear layer: what its constructor does more, its forward, a change of its entry."""

    built: str = "pass"
    forward: str = "return self.layer(x)"
    entry: str = ""


def write(root: Path, files: Mapping[str, str]) -> Target:
    """Write a package and read its settings."""
    for name, text in {"zoo/__init__.py": "", "pyproject.toml": SETTINGS, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Target.load(root)


def results_of_models(
    root: Path, models: Mapping[str, Model], *, only: tuple[str, ...], helpers: str = "", arguments: str = "x"
) -> dict[str, list[Result]]:
    """Carry checks out on models, and return the results by the names of the models.

    `helpers` are code that they need, `arguments` those of forward.
    """
    sources, specs = HEAD + helpers, SPECS
    for name, model in models.items():
        sources += CLASS.format(name=name, built=model.built, forward=model.forward, arguments=arguments)
        specs += (
            f"entry = entry_of({name!r})\n{f'entry{model.entry}' if model.entry else ''}\nMODELS[{name!r}] = entry\n"
        )
    target = write(root, {"zoo/models.py": sources, "zoo/specs.py": specs})
    return by_spec(target, only=only)


def by_spec(target: Target, *, only: tuple[str, ...] = ()) -> dict[str, list[Result]]:
    """Carry smoke checks out on a package, and return their results by the names that its specs give."""
    report = conduct(target, Request(command="smoke", planners=[plan_smoke], only=only))
    found: dict[str, list[Result]] = {}
    for result in report.results:
        found.setdefault(result.subject.spec or result.subject.name, []).append(result)
    return found
