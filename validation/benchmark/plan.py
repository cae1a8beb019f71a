"""Which rows there should be: every case with every backend, and every model."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.catalog import Catalog, SpecEntry, Undeclared
from audit.collected import Collected
from audit.errors import UsageError
from audit.near import hint
from audit.plugins import BACKENDS, plugins, source_of
from audit.results import SubjectKind
from audit.subjects import declared_subject
from validation.benchmark.cases import AttentionCase, Backend, BackendKind, Case
from validation.benchmark.grid import Grid

BUILT_IN = (
    "eager", "sdpa", "sdpa_math", "sdpa_flash", "sdpa_efficient", "sdpa_cudnn", "flex_attention", "flash_attn_2",
    "flash_attn_3", "flash_attn_4",
)  # fmt: skip
MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class CasePlan:
    """A case and the backends that are tried on it; `problems` say why some cannot be, by their names."""

    case: Case
    backends: tuple[Backend, ...]
    problems: dict[str, str]


def plan_rows(
    collected: Collected, grid: Grid, *, only: Sequence[str], models: Sequence[str], with_models: bool
) -> list[CasePlan]:
    """Plan every case of the grid, on the backends and models that are named, or on all.

    Raises:
        UsageError: a name is of nothing, or the specs cannot be read.
    """
    catalog = _catalog(collected)
    declared = (catalog.benchmarks or {}) if catalog else {}
    clashing = sorted(set(declared) & set(BUILT_IN))
    if clashing:
        raise UsageError(f"BENCHMARKS names a backend {clashing[0]!r}, as a built-in one is called; name it otherwise")
    plugged = _plugged([*BUILT_IN, *declared])
    known = [*BUILT_IN, *declared, *plugged]
    for name in only:
        if name not in known:
            near = hint(name, known, otherwise=f"there are: {', '.join(known)}")
            raise UsageError(f"--backend {name}: no such backend; {near}")
    chosen = [name for name in known if not only or name in only]
    plans: list[CasePlan] = []
    if not (models and not only):  # --model alone asks for models alone
        backends = tuple(plugged.get(name) or _backend(collected, name, declared.get(name)) for name in chosen)
        problems = {name: str(entry.problem) for name, entry in declared.items() if entry.problem}
        plans += [CasePlan(case=case, backends=backends, problems=problems) for case in grid.attention_cases()]
    entries = (catalog.models or {}) if catalog else {}
    for name in models:
        if name not in entries:
            near = hint(name, entries, otherwise=f"there are: {', '.join(sorted(entries)) or 'none'}")
            raise UsageError(f"--model {name}: no such model; {near}")
    if models or (with_models and not only):
        plans += _of_models(collected, grid, {name: entries[name] for name in models or sorted(entries)})
    if not plans:
        raise UsageError("the plan is empty: no case has the mode that is asked for")
    return plans


def _plugged(taken: Sequence[str]) -> dict[str, Backend]:
    """Return the backends of plug-ins, which only the target's process imports.

    Raises:
        UsageError: one has a name that is taken, or no file.
    """
    found: dict[str, Backend] = {}
    for plugin in plugins(BACKENDS):
        if plugin.name in (*taken, *found):
            raise UsageError(f"{plugin}: there is a backend {plugin.name} already; uninstall it, or rename yours")
        try:
            content = source_of(plugin.entry.value).read_bytes()
        except (ValueError, OSError) as error:
            raise UsageError(f"{plugin}: {error}; mend the plug-in, or uninstall its package") from error
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        found[plugin.name] = Backend(
            name=plugin.name, kind=BackendKind.PLUGIN, declared=plugin.entry.value, digest=digest
        )
    return found


def _catalog(collected: Collected) -> Catalog | None:
    """Return what the specs declare; None where the target has none, which leaves the built-in backends."""
    if collected.target.settings.specs is None:
        return None
    catalog = collected.catalog
    if isinstance(catalog, Undeclared):
        raise UsageError(str(catalog.judgement.reason))
    return catalog


def _backend(collected: Collected, name: str, entry: SpecEntry | None) -> Backend:
    if entry is None:
        return Backend(name=name, kind=BackendKind.BUILT_IN)
    subject = declared_subject(collected, name, entry, SubjectKind.BACKEND)
    return Backend(name=name, kind=BackendKind.SPEC, declared=entry.declared, digest=subject.digest)


def _of_models(collected: Collected, grid: Grid, entries: dict[str, SpecEntry]) -> Iterator[CasePlan]:
    for name, entry in entries.items():
        subject = declared_subject(collected, name, entry, SubjectKind.MODEL)
        backend = Backend(name=MODEL, kind=BackendKind.MODEL, declared=entry.declared, digest=subject.digest)
        for case in grid.model_cases([name]):
            yield CasePlan(case=case, backends=(backend,), problems={MODEL: entry.problem} if entry.problem else {})


def number_of_rows(plans: Sequence[CasePlan]) -> int:
    """Return how many rows a plan has."""
    return sum(len(plan.backends) for plan in plans)


def uses_dtypes(plans: Sequence[CasePlan]) -> list[str]:
    """Return the dtypes that ceilings are needed for."""
    return list(dict.fromkeys(plan.case.dtype for plan in plans if isinstance(plan.case, AttentionCase)))
