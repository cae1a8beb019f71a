"""A module with single edits, each in a file of its own, and the defects that the audit finds in them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from audit.attention.defects import conclude
from audit.attention.plan import plan_attention
from audit.results import Defect, Result
from audit.session import Request, conduct
from audit.target import Target

Edits = Iterable[tuple[str, str]]
Found = Callable[[str], tuple[dict[str, Result], list[Defect]]]


def found_in(root: Path, module: str, specs: str, edits: Mapping[str, Edits], *, only: Iterable[str] = ()) -> Found:
    """Write the package `zoo`, carry checks of attention out on it, and return what gives the findings of a name.

    Without `only` all checks are. Scripts are left out: they have tests of their own, and take longer than the rest.
    """
    (root / "zoo").mkdir()
    (root / "zoo" / "__init__.py").touch()
    for name, edits_of in edits.items():
        text = module
        for before, after in edits_of:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (root / "zoo" / f"{name}.py").write_text(text)
    (root / "zoo" / "specs.py").write_text(specs)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conclude, "reproducer_of", lambda *args, **named: "left out")
        checks = [f"attention.{check}" for check in only]
        request = Request(command="attention", planners=[plan_attention], only=checks, explain=True)
        report = conduct(Target.load(root), request)

    def of(name: str) -> tuple[dict[str, Result], list[Defect]]:
        results = {each.check: each for each in report.results if each.subject.spec == name}
        return results, [defect for defect in report.defects if defect.subject.spec == name]

    return of
