"""A declared data set as the smoke checks see it."""

from collections.abc import Mapping
from dataclasses import dataclass

from audit.catalog import SpecEntry
from audit.gateway.client import Plain
from audit.plan import Run
from audit.results import Subject

UNSIZED = "it has no `__len__`: a DataLoader reads it by a sampler of its own alone, which is not declared"


@dataclass(frozen=True, kw_only=True)
class DeclaredData:
    """One entry of the specs' DATA."""

    name: str
    specs: str
    entry: SpecEntry
    subject: Subject

    def call(self, run: Run, procedure: str) -> Mapping[str, Plain]:
        """Run one of the probe's procedures on data sets."""
        return run.probe.call(procedure, specs=self.specs, name=self.name, seed=run.seed)
