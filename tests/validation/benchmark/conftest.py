"""A package whose specs declare backends, right and wrong, and the command run on it."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import typer
from typer.testing import CliRunner

from validation.benchmark import run as run_
from validation.benchmark.command import register
from validation.benchmark.document import BenchmarkDocument, Ceiling
from validation.benchmark.rows import Row

SPECS = """
import torch
import torch.nn.functional as F

def right(query, key, value, is_causal, window):
    assert window is None
    square = query.shape[2] == key.shape[2]
    return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal and square,
                                          enable_gqa=query.shape[1] != key.shape[1])

{body}

BENCHMARKS = {{
    "right": {{"function": "zoo.specs:right", "forward": right}},
    {entries}
}}
"""
SMALL = {
    "--batch": "1", "--heads": "2", "--length": "24", "--head-dim": "8", "--seconds": "0.06", "--rounds": "2",
    "--threads": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Benched:
    """What the command left behind."""

    exit_code: int
    document: BenchmarkDocument
    output: Path

    def row(self, backend: str, mode: str = "forward") -> Row:
        (found,) = [row for row in self.document.rows if row.backend.name == backend and row.case.mode == mode]
        return found


@pytest.fixture
def bench_app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)  # so that the only command keeps its name
    register(app)
    return app


@pytest.fixture
def bench_package(tmp_path: Path) -> Callable[..., Path]:
    """Writes a package `zoo` whose specs declare `right` and the backends given as source of `forward`."""

    def write(forwards: dict[str, str] | None = None, *, more: str = "", settings: str = "") -> Path:
        forwards = forwards or {}
        root = tmp_path / "project"
        (root / "zoo").mkdir(parents=True, exist_ok=True)
        (root / "zoo" / "__init__.py").write_text("")
        (root / "pyproject.toml").write_text(
            f'[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n{settings}\n'
        )
        body = "\n\n".join(dedent(text) for text in (*forwards.values(), more))
        entries = "\n".join(
            f'    "{name}": {{"function": "zoo.specs:{name}", "forward": {name}}},' for name in forwards
        )
        (root / "zoo" / "specs.py").write_text(SPECS.format(body=body, entries=entries.strip()))
        return root

    return write


@pytest.fixture
def bench(tmp_path: Path, bench_app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Benched]:
    """Runs the command on a folder in this process; ceilings, which take seconds, are made up, and out of reach."""

    def ceiling(target: object, probe: object, dtype: str) -> Ceiling:
        return Ceiling(dtype=dtype, flops_per_s=1e15, bytes_per_s=1e15)

    monkeypatch.setattr(run_, "_ceiling", ceiling)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the lock of these tests is their own

    def run(root: Path, *arguments: str, mode: Sequence[str] = ("forward",)) -> Benched:
        output = tmp_path / "output"
        modes = [word for each in mode for word in ("--mode", each)]
        small = [word for name, value in SMALL.items() if name not in arguments for word in (name, value)]
        command = ["bench", "--target", str(root), "--output", str(output), "--quiet", *small, *modes, *arguments]
        done = CliRunner().invoke(bench_app, command)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        document = BenchmarkDocument.model_validate(json.loads((output / "bench.json").read_text()))
        return Benched(done.exit_code, document, output)

    return run
