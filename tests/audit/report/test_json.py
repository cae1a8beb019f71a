from collections.abc import Callable

import pytest

from audit.report.document import Report, SkippedTreeRow
from audit.report.write import report_json
from audit.results import Result

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]


def _with_rows(report: Report, rows: int) -> Report:
    trees = (SkippedTreeRow(path=f'a]\n  ]"{row}', files=row, reason='"[vendored') for row in range(rows))
    return report.model_copy(update={"skipped_trees": tuple(trees)})


@pytest.mark.parametrize("rows", [0, 1, 499, 500, 501, 1200])
def test_the_parts_are_the_whole_document(make_report: MakeReport, make_result: MakeResult, rows: int) -> None:
    report = _with_rows(make_report([make_result()]), rows)
    assert report_json(report) == report.model_dump_json(indent=2) + "\n"


def test_no_part_holds_all_rows_of_a_long_list(make_report: MakeReport, make_result: MakeResult) -> None:
    report = _with_rows(make_report([make_result()]), 1200)
    assert max(part.count("vendored") for part in report.json_parts()) == 500
