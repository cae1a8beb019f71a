"""CLM001: a document claims a figure that nothing in the project produces."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.static.rules.claims import Kind, claims_of, is_backed, is_declared
from audit.static.rules.project_rule import Place, ProjectPrecision, ProjectRule

if TYPE_CHECKING:
    from audit.static.rules.project_files import ProjectFiles


class ClaimWithoutEvidence(ProjectRule):
    """What counts as a claim and as evidence is defined in `what`, narrowly on both sides."""

    id = "CLM001"
    title = "A document claims a figure that no test, benchmark or result of the project holds"
    what = (
        "Reports sentences of documents (Markdown, reStructuredText, README; the first 1 MiB) that state an accuracy in"
        " percent (also in a column of a table), a factor or share by which something is faster or smaller, `n/m tests "
        "pass`, a score out of 100, or `production ready`. Left out are code, quotations, and sentences that deny, "
        "wish, ask, give a bound or name another source. A claim is backed where its paragraph links to a file of the "
        "project that is no document, where a claim of the configuration (`[[tool.astrobio-audit.claims]]`) publishes "
        "the figure there, or where a file named as a test, benchmark, report or result holds a number that rounds to "
        "the figure, or a hundredth of it, on a line with a word such as accuracy or time. `production ready` is "
        "backed by a result with the verdict `ready`. In `readiness` the check `documents.figures_backed` tells it, "
        "which knows the profile too."
    )
    why = "Nobody can repeat the figure, and nothing notices when it stops being true."
    fix = "add the benchmark or test that produces the figure, or its results, and link to it; or take the claim out"
    precision = ProjectPrecision(
        findings=14,
        sampled=14,
        false=0,
        corpus="the long descriptions and documents of 151 installed packages, which come without their benchmarks: "
        "read for whether the sentence claims a figure, not for whether one is backed",
    )
    VALID_FILES = (
        {
            "README.md": "Accuracy is 97.3 % on the test set ([results](results/climate.json)).\n",
            "results/climate.json": '{"accuracy": 0.9731}\n',
        },
        {
            "README.md": "The fused kernel is 2.1x faster than eager.\n",
            "benchmarks/results.csv": "kernel,speedup\nfused,2.13\n",
        },
        {"README.md": "This is not production ready.\n"},
        {"docs/goals.md": "Each kernel should be 2x faster than eager.\n\n```\naccuracy 99 %\n```\n"},
        {"README.md": "<!-- noqa: CLM001 -->\nThe model reaches 96 % accuracy.\n"},
        {"README.md": 'It is easy to write "95/100 production ready" about it.\n'},
    )
    INVALID_FILES = (
        {"README.md": "The model reaches 96 % accuracy and is 2x faster than the baseline.\n"},
        {"docs/status.md": "# Status\n\n95/100, production ready. 11/11 smoke tests passing.\n"},
        {
            "README.md": "The fused kernel is 3x faster than eager.\n",
            "benchmarks/results.csv": "kernel,speedup\nfused,1.04\n",
        },
        {"README.rst": "Accuracy: 99.1 %, see `results/gone.json`\n"},
        {"README.md": "| model | accuracy |\n| --- | --- |\n| small | **96.2 %** |\n"},
    )

    def concerned(self, project: "ProjectFiles") -> tuple[str, ...]:
        """Return the documents."""
        return project.documents

    def judge_project(self, project: "ProjectFiles") -> Iterator[Place]:
        """Yield the claims without evidence."""
        for path in project.documents:
            text = project.text(path)
            for claim in claims_of(text) if text is not None else ():
                if not is_declared(claim, path, project.declared) and not is_backed(claim, path, project):
                    end = claim.column + len(claim.text)
                    yield Place(path, _message(claim.text, claim.kind), claim.line, claim.column, end)


def _message(words: str, kind: Kind) -> str:
    if kind is Kind.READY:
        return f"`{words}`: no result of the project has the verdict `ready`"
    return f"`{words}`: no test, benchmark or result of the project holds this {kind}"
