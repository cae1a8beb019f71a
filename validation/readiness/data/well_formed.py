"""Data files are what their format says, to the end."""

from collections.abc import Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from audit.stopping import stop_if_wanted
from validation.readiness.checkpoints.forms import Malformed, NotRead
from validation.readiness.data.fetched import data_files, is_fetched
from validation.readiness.data.formats import look_at
from validation.readiness.data.texts import MalformedAt
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="data.well_formed",
    title="Data files have the form that their name says",
    proves="Tables have the same number of fields in every row, JSON parses line by line, arrays have the bytes that "
    "their headers say; Parquet, Arrow, HDF5, netCDF and FITS files begin and end as these formats do; pickles"
    " are whole and call nothing that runs commands. Nothing is loaded.",
    defect="a table that ends within a row",
    severity=Severity.MAJOR,
)


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Read every data file that was fetched, each up to the limit of its format."""
    wrong: list[Place] = []
    unread: list[str] = []
    items = [item for item in data_files(project) if is_fetched(item)]
    for number, item in enumerate(items, start=1):
        stop_if_wanted()
        run.tell(f"{CHECK.id}: {number} of {len(items)} files")
        try:
            look_at(project.root / item.path)
        except Malformed as problem:
            wrong.append(Place(item.path, problem.line if isinstance(problem, MalformedAt) else 0, str(problem)))
        except NotRead as reason:
            unread.append(f"{item.path}: {reason}")
    return judge_places(
        project,
        wrong,
        looked_at=len(items) - len(unread),
        unit="data files",
        origin="a reader stops at what is malformed, or reads something else",
        fix="write or fetch the file again; leave out with `exclude` what is malformed on purpose",
        nothing="the project holds no data file that was fetched",
        unread=unread,
    )
