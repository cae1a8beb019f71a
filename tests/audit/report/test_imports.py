"""The section about imports: grouped by root cause, largest first."""

from audit.report.imports import import_section
from audit.static.imports.causes import Cause, ImportRow, Root


def _row(module: str, line: int, cause: Cause, name: str) -> ImportRow:
    return ImportRow(
        module=module, path="p.py", forecast="fails", cause=cause, root=Root(path="p.py", line=line, name=name)
    )


def test_a_missing_package_is_one_cause_wherever_it_is_missed() -> None:
    rows = [_row("p.a", 3, Cause.MISSING_DEPENDENCY, "lib"), _row("p.b", 9, Cause.MISSING_DEPENDENCY, "lib")]
    section = import_section([*rows, ImportRow(module="p.c", path="p.py", forecast="ok")])
    assert "1 cause, 2 of 3 modules fail to import" in section
    assert "**2 modules**: declared dependency not installed lib at `p.py:3`" in section


def test_without_rows_there_is_no_section() -> None:
    assert import_section([]) == ""


def test_what_the_modules_of_a_cause_miss_next_is_told_with_it() -> None:
    rows = [_row("p.a", 3, Cause.MISSING_DEPENDENCY, "lib"), _row("p.b", 9, Cause.MISSING_DEPENDENCY, "lib")]
    assert "; then" not in import_section(rows)
    rows[1] = rows[1].model_copy(update={"then": ("other", "more")})
    assert "not installed lib at `p.py:3`; then more, other" in import_section(rows)
