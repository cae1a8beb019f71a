"""Which modules of a package reach another by imports, and over how many."""

from collections import defaultdict, deque
from collections.abc import Callable

from audit.static.analysis import StaticAnalysis
from audit.static.names import Origin


def modules_reaching(analysis: StaticAnalysis, path: str, rooted: Callable[[str], str]) -> dict[str, int]:
    """Return the modules that import the file at `path`, or one that does, with the number of imports between.

    An import at any place counts. A package is reached by every module below it, for it is imported first.

    Args:
        analysis: of the package.
        path: of the file, relative to the target.
        rooted: turns a path of the analysis into one relative to the target.
    """
    summaries = analysis.summaries
    modules = {summary.module for summary in summaries}
    importers: dict[str, set[str]] = defaultdict(set)
    for summary in summaries:
        for values in summary.bindings.values():
            for value in values:
                if value.origin is not Origin.IMPORT:
                    continue
                for name in (value.module, ".".join((value.module, *value.attributes[:1]))):
                    if name in modules:
                        importers[name].add(summary.module)
        for star in summary.stars:
            if star.module in modules:
                importers[star.module].add(summary.module)
    start = next((summary.module for summary in summaries if rooted(summary.path) == path), None)
    if start is None:
        return {}
    found = {start: 0}
    pending = deque([start])
    while pending:
        module = pending.popleft()
        for importer in sorted(importers[module]):
            if importer not in found:
                found[importer] = found[module] + 1
                pending.append(importer)
    return found
