"""`astrobio-audit doctor`: what an interpreter has, what is missing, and what that disables."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from audit import provenance
from audit.command import deliver
from audit.errors import UsageError
from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged, skipped
from audit.report.document import Environment, Provenance, build_report
from audit.results import Check, Comparison, Severity, Subject, SubjectKind

_MIN_MEMORY_GIB = 4
_GIB = 1024**3
_MINOR_VERSIONS = 1000
_START_TIMEOUT_S = 30


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


def examine(python: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Report on `python`, or on the auditor's own interpreter.

    Raises:
        UsageError: there is no such interpreter.
        typer.Exit: at the end, with the report's exit code.
    """
    interpreter = python or Path(sys.executable)
    if not interpreter.is_file():
        raise UsageError(f"--python {interpreter}: no such interpreter; name an executable python")
    started_at = provenance.now()
    found = _environment(interpreter.absolute())
    environment = found if isinstance(found, Environment) else None
    judgements = (
        _with_environment(found)
        if isinstance(found, Environment)
        else _without_environment(interpreter.absolute(), found)
    )
    subject = Subject(kind=SubjectKind.ENVIRONMENT, qualname=interpreter.name)
    results = [
        judgement.result(check, subject, seed=None, duration_s=None, reproduce="astrobio-audit doctor")
        for check, judgement in judgements
    ]
    platform, machine = provenance.machine()
    report = build_report(
        command="doctor",
        provenance=Provenance(
            command=" ".join(["astrobio-audit", *sys.argv[1:]]),
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
    deliver(report, json=as_json, quiet=quiet, output=None)


def _environment(python: Path) -> Environment | str:
    """Return what the interpreter has, or why that is unknown."""
    here = Path.cwd()
    with Probe(python=python, source=here, root=here, package="", limits=Limits()) as probe:
        try:
            reply = probe.call("environment")
        except (ProbeFailure, TargetRaised) as failure:
            return str(failure)
    return Environment.model_validate({k: v for k, v in reply.items() if k in Environment.model_fields})


def _bare_version(python: Path) -> str | None:
    """Return the version of an interpreter in which the probe cannot run; isolated, so that it loads nothing else."""
    code = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run(
            [str(python), "-I", "-S", "-c", code], capture_output=True, text=True, timeout=_START_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _without_environment(python: Path, problem: str) -> Iterator[tuple[Check, Judgement]]:
    version = _bare_version(python)
    if version is None:
        yield PYTHON, failed(f"not a working interpreter: {problem}", fix="name a python executable")
    else:
        yield PYTHON, _version(version, PYTHON)
    yield TORCH, failed(problem, fix="install torch 2.11 or newer into this environment") if version else error(problem)
    for check in (MEMORY, CUDA, TRITON, FLASH):
        yield check, error(f"not examined, because the probe did not start: {problem}")


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
                origin="two processes with torch loaded take about 0.5 GiB each; the rest is for the models",
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
    numbers = [int(part) for part in re.findall(r"\d+", found)[:2]]
    if len(numbers) < len(minimum):
        return error(f"version {found!r} cannot be compared")
    wanted = ".".join(map(str, minimum))
    return judged(
        Measured(
            value=numbers[0] * _MINOR_VERSIONS + numbers[1],
            bound=minimum[0] * _MINOR_VERSIONS + minimum[1],
            comparison=Comparison.AT_LEAST,
            origin=f"found {found}; {wanted} is the oldest version that the tool supports",
            unit="major x 1000 + minor",
        ),
        otherwise=f"{found} is older than {wanted}",
        fix=f"install version {wanted} or newer",
    )
