"""What else is not installed: the packages that a failing module would miss once its first missing one is there.

Imports are simulated a second time. One of a package that is not installed goes on then, as if it were, unless a guard
or a branch that may not run surrounds it: there it fails as before.
"""

from collections.abc import Mapping, Sequence

from audit.static.imports.as_file import attempt
from audit.static.imports.causes import Failure
from audit.static.imports.execute import Executor
from audit.static.imports.importing import Importer, Surroundings, TargetModule


def missing_next(
    modules: Sequence[TargetModule], outside: Surroundings, failures: Mapping[str, Failure | None]
) -> dict[str, tuple[str, ...]]:
    """Return, by module, what each that fails for a missing package would miss afterwards, sorted."""
    failing = {
        module: failure for module, failure in failures.items() if failure and failure.cause.is_of_the_environment
    }
    packages = {parent for module in failing for parent in _parents(module)}
    importer = Importer(modules, outside, passes_missing=True)
    Executor(importer)
    missed: dict[str, set[str]] = {}
    loaded_after: dict[str, tuple[frozenset[str], bool]] = {}
    for module in sorted(importer.targets.keys() & (failing.keys() | packages)):
        parent = next((each for each in reversed(_parents(module)) if each in missed), "")
        loaded, is_unordered = loaded_after.get(parent, (frozenset(), False))
        importer.begin(loaded, is_unordered=is_unordered)
        attempt(importer, module)
        passed = (importer.passed.get(importer.targets[each].path, set()) for each in importer.reached)
        missed[module] = set().union(missed.get(parent, set()), *passed)
        loaded_after[module] = frozenset(importer.loaded), importer.is_unordered
    return {module: tuple(sorted(missed[module] - {failure.name})) for module, failure in failing.items()}


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]
