"""`astrobio-audit doctor`: what an interpreter has, what is missing, and what that disables."""

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer
from pydantic import ValidationError

from audit import provenance
from audit.command import deliver
from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised, output_of
from audit.judgement import Judgement, Measured, error, failed, judged, skipped
from audit.options import Format
from audit.report.document import Environment, Provenance, build_report
from audit.report.text import one_line
from audit.results import Check, Comparison, Outcome, Severity, Subject, SubjectKind
from audit.target import interpreter_of

_MIN_MEMORY_GIB = 4
_GIB = 1024**3
_MINOR_VERSIONS = 1000
_START_TIMEOUT_S = 30
_MAX_VERSION_BYTES = 100
_MAX_PROBLEM = 1000
_CANNOT_RUN = "the probe cannot run in "  # as `Probe` words it
_INSTALL_TORCH = "install torch 2.11 or newer into this environment"


def _check(name: str, title: str, proves: str, defect: str, severity: Severity) -> Check:
    return Check(id=f"doctor.{name}", title=title, proves=proves, defect=defect, severity=severity)


PYTHON = _check(
    "python",
    "Python version",
    "The interpreter is one that the tool is tested on.",
    "an older Python",
    Severity.CRITICAL,
)
TORCH = _check(
    "torch", "torch version", "torch can be imported and is recent enough.", "torch missing or older", Severity.CRITICAL
)
MEMORY = _check(
    "memory",
    "memory",
    "The machine has memory for a small model and torch twice over.",
    "a tiny machine",
    Severity.MINOR,
)
CUDA = _check("cuda", "CUDA accelerator", "torch sees an accelerator.", "no accelerator", Severity.MINOR)
TRITON = _check("triton", "triton", "Triton kernels can be compiled.", "triton not installed", Severity.MINOR)
FLASH = _check("flash_attn", "flash-attn", "flash-attn can be imported.", "flash-attn not installed", Severity.MINOR)
CHECKS = (PYTHON, TORCH, MEMORY, CUDA, TRITON, FLASH)

_MINIMUM = {PYTHON.id: (3, 11), TORCH.id: (2, 11), TRITON.id: (3, 6), FLASH.id: (2, 7)}
_DISABLES = {
    CUDA.id: "GPU code paths are not run and no kernel is timed on a GPU",
    TRITON.id: "Triton kernels are not run; torch.compile has no GPU backend",
    FLASH.id: "FlashAttention branches are not run; SDPA and eager are",
}


def examine(python: Path | None, target: Path, *, as_json: bool, quiet: bool, config: Path | None = None) -> None:
    """Report on the interpreter that an audit of the folder `target` would use.

    Raises:
        UsageError: there is no such interpreter, or the configuration in the folder needs correcting.
        typer.Exit: at the end, with the report's exit code.
    """
    interpreter = interpreter_of(target, python, config)
    started_at = provenance.now()
    found = _environment(interpreter.absolute())
    environment = found if isinstance(found, Environment) else None
    judgements = list(
        _with_environment(found)
        if isinstance(found, Environment)
        else _without_environment(interpreter.absolute(), found)
    )
    if not as_json and not quiet:
        for check, judgement in judgements:
            if judgement.outcome is Outcome.PASSED and judgement.measured is not None:
                typer.echo(one_line(f"{check.title}: {judgement.measured.origin}", limit=None))
    subject = Subject(kind=SubjectKind.ENVIRONMENT, qualname=interpreter.name)
    repeat = shlex.join(["astrobio-audit", "doctor", *(["--python", str(python)] if python else [])])
    results = [
        judgement.result(check, subject, seed=None, duration_s=None, reproduce=repeat)
        for check, judgement in judgements
    ]
    platform, machine = provenance.machine()
    report = build_report(
        command="doctor",
        provenance=Provenance(
            command=shlex.join(["astrobio-audit", *sys.argv[1:]]),
            package=interpreter.name,
            package_digest=None,
            config_digest="",
            commit=None,
            dirty=None,
            seed=0,
            python=provenance.interpreter(),
            torch=provenance.loaded_torch(),
            platform=platform,
            machine=machine,
            environment=environment,
            started_at=started_at,
            finished_at=provenance.now(),
        ),
        checks=CHECKS,
        results=results,
        release=False,
        partial_reason=None,
    )
    deliver(report, form=Format.JSON if as_json else Format.TEXT, quiet=quiet, output=None)


def _environment(python: Path) -> Environment | str:
    """Return what the interpreter has, or why that is unknown."""
    with (
        # An empty folder: what lies in the current one is not the interpreter's.
        tempfile.TemporaryDirectory(prefix="astrobio-audit-") as nowhere,
        Probe(
            python=python, source=Path(nowhere), root=Path(nowhere), package="", limits=Limits(), forks=False
        ) as probe,  # one process alone gains nothing from a template
    ):
        try:
            reply = probe.call("environment")
            return Environment.model_validate({k: v for k, v in reply.items() if k in Environment.model_fields})
        except ProbeFailure as failure:
            tail = f"; last output:\n{failure.output_tail}" if failure.output_tail.strip() else ""
            return (failure.reason + tail)[:_MAX_PROBLEM]
        except TargetRaised as raised:
            return str(raised)[:_MAX_PROBLEM]
        except ValidationError as invalid:
            first = invalid.errors()[0]
            return f"what it says of itself has another form: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def _bare_version(python: Path) -> str | None:
    """Return the version of an interpreter in which the probe cannot run; isolated, so that it loads nothing else."""
    code = "import platform; print(platform.python_version())"
    said = output_of(python, "-I", "-S", "-c", code, max_bytes=_MAX_VERSION_BYTES, timeout_s=_START_TIMEOUT_S)
    version = (said or "").strip()
    return version if re.fullmatch(r"\d+\.\d+\S*", version) else None  # other programs succeed as well, and may print


def _without_environment(python: Path, problem: str) -> Iterator[tuple[Check, Judgement]]:
    version = _bare_version(python)
    if version is None:
        of_python = failed(f"not a working interpreter: {problem}", fix="name a python executable")
    else:
        of_python = _version(version, PYTHON)
    yield PYTHON, of_python
    # A probe that starts imports torch. When it ends in another way, or the interpreter is too old for its own text,
    # nothing is known about torch.
    is_about_torch = of_python.outcome is Outcome.PASSED and problem.startswith(_CANNOT_RUN)
    yield TORCH, failed(problem, fix=_INSTALL_TORCH) if is_about_torch else error(problem)
    for check in (MEMORY, CUDA, TRITON, FLASH):
        yield check, error(f"not examined: {problem}")


def _with_environment(environment: Environment) -> Iterator[tuple[Check, Judgement]]:
    yield PYTHON, _version(environment.python, PYTHON)
    yield TORCH, _version(environment.torch, TORCH)
    yield (
        MEMORY,
        judged(
            Measured(
                value=round(environment.memory_bytes / _GIB, 2),
                bound=_MIN_MEMORY_GIB,
                comparison=Comparison.AT_LEAST,
                origin=f"{environment.memory_bytes / _GIB:.1f} GiB; two processes with torch loaded take about 0.5 GiB "
                "each, the rest is for the models",
                unit="GiB",
            ),
            otherwise="little memory: larger models cannot be built",
        ),
    )
    yield CUDA, _accelerators(environment)
    for check, library in ((TRITON, "triton"), (FLASH, "flash_attn")):
        found = environment.libraries.get(library)
        yield check, _version(found, check) if found else skipped(f"not installed: {_DISABLES[check.id]}")


def _accelerators(environment: Environment) -> Judgement:
    if not environment.devices:
        return skipped(f"torch sees none: {_DISABLES[CUDA.id]}")
    names = ", ".join(device.name for device in environment.devices)
    return judged(
        Measured(
            value=len(environment.devices),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin=f"{names}; CUDA {environment.cuda}",
            unit="accelerators",
        ),
        otherwise="",
    )


def _version(found: str, check: Check) -> Judgement:
    """Judge a version by its first two numbers, as one number: 2.11 is 2011."""
    minimum = _MINIMUM[check.id]
    numbers = re.match(r"v?(\d{1,6})\.(\d{1,3})(?!\d)", found)  # a longer minor number would spill into the major one
    if not numbers:
        return error(f"version {found!r} cannot be compared")
    wanted = ".".join(map(str, minimum))
    return judged(
        Measured(
            value=int(numbers[1]) * _MINOR_VERSIONS + int(numbers[2]),
            bound=minimum[0] * _MINOR_VERSIONS + minimum[1],
            comparison=Comparison.AT_LEAST,
            origin=f"found {found}; {wanted} is the oldest version that the tool supports",
            unit="major x 1000 + minor",
        ),
        otherwise=f"{found} is older than {wanted}",
        fix=f"install version {wanted} or newer",
    )
