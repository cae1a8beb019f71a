"""Commands, figures and links in documents: right ones, the same with one edit, and what is not judged."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from audit.profiles import Profile
from audit.results import Outcome
from audit.session import Request, conduct
from audit.static.rules.checks import plan_rules
from audit.target import Target
from validation.readiness.areas import plan_areas
from validation.readiness.documents.figures_backed import plan_other_rules
from validation.readiness.documents.own_line import problem_of
from validation.readiness.planners import release_planners

from .written import SETTINGS, outcome, report_of, results, write

PARSE, RUN, LINKS, FIGURES = (
    "documents.commands_parse",
    "documents.commands_run",
    "documents.links_lead",
    "documents.figures_backed",
)
RULE = "rules.clm001"
ONE_FIGURE = (FIGURES, RULE)
SCRIPT = '[project]\nname = "zoo"\nversion = "1"\n[project.scripts]\nzoo = "zoo.cli:main"\n' + SETTINGS
CLI = """
import argparse

def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    train = commands.add_parser("train")
    train.add_argument("--learning-rate", type=float)
"""


def block(*lines: str, language: str = "bash", above: str = "") -> str:
    text = "\n".join(lines)
    return f"# Use\n\n{above}\n\n```{language}\n{text}\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        block("astrobio-audit static src --format json > static.json"),
        block("$ astrobio-audit static", "astrobio-audit: this is output --of it", language="console"),
        block("pip install . && astrobio-audit attention --only attention.oracle \\", "  --seed 3"),
        block("- run: astrobio-audit static --json > static.json", language="yaml"),
        block("FOO=1 .venv/bin/astrobio-audit readiness --target path/to/project"),
        block("astrobio-audit static --diff-base $(git merge-base origin/main HEAD)"),
        block("astrobio-audit explain ID", "astrobio-audit report render static.json --format <form>"),
        block("astrobio_audit = call('astrobio-audit nothing --at all')", language="python"),
        "Call `astrobio-audit static [PATHS]`, `astrobio-audit explain`, or `astrobio-audit\nreadiness --seed N`.\n",
        "A wrong one in a comment <!-- `astrobio-audit nothing` --> is not shown; `astrobio-audit --version` is.\n",
    ],
)
def test_commands_that_exist_pass(tmp_path: Path, text: str) -> None:
    found = outcome(tmp_path, PARSE, {"README.md": text})
    assert found[0] is (Outcome.NOT_APPLICABLE if "python" in text else Outcome.PASSED), found


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (block("astrobio-audit static src --formt json"), 6, "--formt"),
        (block("echo", "astrobio-audit statik"), 7, "no command 'statik'"),
        (block("astrobio-audit static --format yaml"), 6, "--format"),
        (block("astrobio-audit static --seed one"), 6, "--seed"),
        (block("astrobio-audit explain"), 6, "needs RULE"),
        (block("astrobio-audit explain ATT001 ATT002"), 6, "no further argument"),
        (block("astrobio-audit report rendre a.json"), 6, "no command 'rendre'"),
        ("One\n\nCall `astrobio-audit readiness --fast`.\n", 3, "--fast"),
        (block("  astrobio-audit static --nothing", language=""), 6, "--nothing"),
    ],
)
def test_a_command_that_does_not_exist_fails_on_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    (result,) = results(tmp_path, PARSE, {"docs/use.md": text})
    assert result.outcome is Outcome.FAILED
    assert words in (result.reason or "")
    assert result.location is not None
    assert (result.location.path, result.location.line) == ("docs/use.md", line)


def test_parsing_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert problem_of(["astrobio-audit", "--version"], is_whole=True) is None
    assert problem_of(["astrobio-audit", "static", "--help"], is_whole=True) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("zoo train --learning-rate 0.1", Outcome.PASSED),
        ("zoo train --help", Outcome.PASSED),
        ("zoo train --learning_rate=0.1", Outcome.PASSED),
        ("zoo trian --learning-rate 0.1", Outcome.FAILED),
        ("zoo train --rate-of-learning 0.1", Outcome.FAILED),
        ("animals train --rate-of-learning 0.1", Outcome.NOT_APPLICABLE),
    ],
)
def test_a_command_of_the_projects_own_is_judged_by_its_sources(
    tmp_path: Path, command: str, expected: Outcome
) -> None:
    files = {"pyproject.toml": SCRIPT, "zoo/cli.py": CLI, "README.md": block(command)}
    assert outcome(tmp_path, PARSE, files)[0] is expected


@pytest.mark.parametrize("edit", [("CHANGELOG.md", CLI), ("README.md", CLI + "\nx = metadata.entry_points()\n")])
def test_change_logs_and_programs_with_plug_ins_are_not_judged(tmp_path: Path, edit: tuple[str, str]) -> None:
    files = {"pyproject.toml": SCRIPT, "zoo/cli.py": edit[1], edit[0]: block("zoo trian")}
    assert outcome(tmp_path, PARSE, files)[0] is not Outcome.FAILED


RUNNING = (
    CLI
    + """
    commands.add_parser("eval")
    parser.parse_args()
    open("ran", "w").close()
"""
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("zoo train --learning-rate 0.1", Outcome.PASSED),
        ("zoo evaluate", Outcome.FAILED),
        ("zoo train --learning-rate high", Outcome.FAILED),
        ("animals train", Outcome.NOT_APPLICABLE),
    ],
)
def test_the_real_command_line_is_asked_where_the_user_wants_it(
    tmp_path: Path, command: str, expected: Outcome
) -> None:
    check = "documents.own_commands_parse"
    files = {"pyproject.toml": SCRIPT, "zoo/cli.py": RUNNING, "README.md": block(command)}
    assert check not in {each.check for each in report_of(write(tmp_path, files), "documents").results}
    assert outcome(tmp_path, check, None, runs=True)[0] is expected
    assert not (tmp_path / "ran").exists()


MARK = "<!-- astrobio-audit: run -->"


def test_marked_commands_are_run_where_the_user_asks(tmp_path: Path) -> None:
    right = {"README.md": block("astrobio-audit explain ATT001", above=MARK)}
    assert outcome(tmp_path, RUN, right) == (
        Outcome.SKIPPED,
        "1 commands are marked; give --run-documents to run what the documents say",
    )
    assert outcome(tmp_path, RUN, None, runs=True) == (Outcome.PASSED, "")
    (again,) = results(tmp_path, RUN, runs=True)
    assert again.evidence.reproduce is not None
    assert again.evidence.reproduce.startswith("astrobio-audit readiness --run-documents --only documents.commands_run")
    wrong = {"README.md": block("astrobio-audit explain ATT999", above=MARK)}
    found = outcome(tmp_path, RUN, wrong, runs=True)
    assert found[0] is Outcome.FAILED
    assert "ended with 2, where 0 is expected" in found[1]
    expected = {"README.md": block("astrobio-audit explain ATT999", above=MARK.replace("run", "run exit=2"))}
    assert outcome(tmp_path, RUN, expected, runs=True)[0] is Outcome.PASSED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (block("astrobio-audit explain ATT001 > /dev/null", above=MARK), Outcome.SKIPPED),
        (block("astrobio-audit explain ATT001"), Outcome.NOT_APPLICABLE),
        (block("touch made", above=MARK), Outcome.NOT_APPLICABLE),
    ],
)
def test_what_is_not_marked_or_needs_a_shell_is_not_run(tmp_path: Path, text: str, expected: Outcome) -> None:
    assert outcome(tmp_path, RUN, {"README.md": text}, runs=True)[0] is expected
    assert not (tmp_path / "made").exists()


def test_a_marked_command_of_the_project_is_started_from_its_tree(tmp_path: Path) -> None:
    files = {"pyproject.toml": SCRIPT, "zoo/cli.py": RUNNING, "README.md": block("zoo train", above=MARK)}
    assert outcome(tmp_path, RUN, files, runs=True) == (Outcome.PASSED, "")
    assert (tmp_path / "ran").exists()


LINKED: dict[str, Any] = {
    "docs/use.md": "# How to `use` it: *quickly*\n\n## Twice\n\n## Twice\n\nUnder\n-----\n\n<a id='own'></a>\n",
    "zoo/model.py": "x = 1\ny = 2\n",
    "a b.md": "",
}


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/use.md) ![b](zoo/model.py) [c](docs) [d](./docs/use.md#how-to-use-it-quickly)",
        "[a](docs/use.md#twice-1) [b](docs/use.md#under) [c](docs/use.md#own) [d](zoo/model.py#L2)",
        "[a](https://example.org/x) [b](mailto:a@example.org) [c](../../issues) [d](#here) [e](a%20b.md)\n\n# Here\n",
        "[a][ref] <img width=3 src='zoo/model.py'>\n\n[ref]: docs/use.md 'title'\n",
        "`[a](gone.md)` and\n\n```\n[b](gone.md)\n```\n[c](zoo/model.py)",
        "[a](</docs/use.md>) [b](<a b.md>) [c]({{ url }}) [d](docs/use.md?raw=true)",
    ],
)
def test_links_that_lead_somewhere_pass(tmp_path: Path, text: str) -> None:
    assert outcome(tmp_path, LINKS, {**LINKED, "README.md": text}) == (Outcome.PASSED, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a](docs/gone.md)", "docs/gone.md, which does not exist"),
        ("[a](docs/use.md#how-to-use-it-slowly)", "has the anchor #how-to-use-it-slowly"),
        ("[a](docs/use.md#twice-2)", "#twice-2"),
        ("[a](#nowhere)\n\n# Here\n", "#nowhere"),
        ("[a](zoo/model.py#L9)", "leads to line 9 of zoo/model.py, which has 3"),
        ("![a](figure.png)", "figure.png, which does not exist"),
        ("[a][ref]\n\n[ref]: gone.md\n", "gone.md, which does not exist"),
        ("<a href='gone.md'>a</a>", "gone.md, which does not exist"),
    ],
)
def test_a_link_that_leads_nowhere_fails(tmp_path: Path, text: str, words: str) -> None:
    found = outcome(tmp_path, LINKS, {**LINKED, "README.md": text})
    assert found[0] is Outcome.FAILED
    assert words in found[1]


def test_links_of_restructured_text_are_followed(tmp_path: Path) -> None:
    right = "`use <docs/use.md>`_\n\n.. image:: zoo/model.py\n"
    assert outcome(tmp_path / "a", LINKS, {**LINKED, "README.rst": right})[0] is Outcome.PASSED
    for number, (there, gone) in enumerate({"model.py": "figure.png", "use.md": "none.md"}.items()):
        wrong = right.replace(there, gone)
        assert outcome(tmp_path / f"b{number}", LINKS, {**LINKED, "README.rst": wrong})[0] is Outcome.FAILED
    code = f"{right}\nWrite `` `use <docs/none.md>`_ `` so.\n"
    assert outcome(tmp_path / "c", LINKS, {**LINKED, "README.rst": code})[0] is Outcome.PASSED


def test_what_a_generator_of_sites_resolves_is_not_judged(tmp_path: Path) -> None:
    files = {"docs/a.md": "[b](b.html) [c](/c/)", "README.md": "[a](docs/a.md)"}
    assert outcome(tmp_path / "a", LINKS, {**files, "mkdocs.yml": "site_name: zoo\n"})[0] is Outcome.PASSED
    assert len(results(tmp_path / "b", LINKS, files)) == 2


def test_a_project_without_links_is_not_concerned(tmp_path: Path) -> None:
    assert outcome(tmp_path, LINKS, {"README.md": "Nothing.\n"})[0] is Outcome.NOT_APPLICABLE


CLAIM = """
[[tool.astrobio-audit.claims]]
id = "right"
kind = "metric"
statement = "97.3 % accuracy"
published = { file = "README.md", text = "97.3 % accuracy" }
measure = "zoo:measure"
at_least = 97.25
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "The model reaches 97.3 % accuracy.\n", "pyproject.toml": SETTINGS + CLAIM}, Outcome.PASSED),
        ({"README.md": "The model reaches 97.3 % accuracy.\n"}, Outcome.FAILED),
        ({"README.md": "It reaches 97.3 % accuracy.\n", "results/a.json": '{"accuracy": 0.973}\n'}, Outcome.PASSED),
        ({"README.md": "It reaches 97.3 % accuracy.\n", "results/a.json": '{"accuracy": 0.923}\n'}, Outcome.FAILED),
        (
            {
                "README.md": "It is so.\n\nIt has 97.3 % accuracy.\n\n\nIt has 99.1 % accuracy.\n",
                "pyproject.toml": SETTINGS + CLAIM,
            },
            Outcome.FAILED,
        ),
        ({"README.md": "<!-- noqa: CLM001 -->\nThe model reaches 97.3 % accuracy.\n"}, Outcome.PASSED),
        ({"README.md": "No figure.\n"}, Outcome.NOT_APPLICABLE),
    ],
)
def test_a_figure_rests_on_a_claim_or_a_result(tmp_path: Path, files: dict[str, Any], expected: Outcome) -> None:
    assert outcome(tmp_path, FIGURES, files)[0] is expected


ON_A_GPU = CLAIM + 'needs = { device = "gpu" }\n'
FIGURE = "The model reaches 97.3 % accuracy.\n"
OUTSIDE = "outside the profile cpu: needs a GPU"


@pytest.mark.parametrize(
    ("readme", "claim", "profile", "expected"),
    [
        (FIGURE, ON_A_GPU, Profile.CPU, [(Outcome.NOT_APPLICABLE, OUTSIDE, "README.md:1")]),
        (FIGURE, ON_A_GPU, Profile.GPU, [(Outcome.PASSED, None, "zoo")]),
        (FIGURE, ON_A_GPU, None, [(Outcome.PASSED, None, "zoo")]),
        (FIGURE, CLAIM, Profile.CPU, [(Outcome.PASSED, None, "zoo")]),
        (
            FIGURE + "\n\n\nIt has 99.1 % accuracy.\n",
            ON_A_GPU,
            Profile.CPU,
            [
                (Outcome.NOT_APPLICABLE, OUTSIDE, "README.md:1"),
                (Outcome.FAILED, "`99.1 % accuracy`: neither a declared claim nor a result holds it", "README.md:5"),
            ],
        ),
    ],
)
def test_a_figure_that_rests_on_a_claim_outside_of_the_profile_is_not_counted_as_right(
    tmp_path: Path,
    readme: str,
    claim: str,
    profile: Profile | None,
    expected: list[tuple[Outcome, str | None, str]],
) -> None:
    write(tmp_path, {"README.md": readme, "pyproject.toml": SETTINGS + claim})
    found = [each for each in report_of(tmp_path, FIGURES, profile=profile).results if each.check == FIGURES]
    places = [f"{each.subject.path}:{each.subject.line}" if each.subject.line else "zoo" for each in found]
    assert list(zip([each.outcome for each in found], [each.reason for each in found], places, strict=True)) == expected
    flags = f"--profile {profile} " if profile else ""
    for each in found:
        assert f"astrobio-audit readiness {flags}--only {FIGURES} " in (each.evidence.reproduce or "")


def test_one_sentence_is_one_result_of_readiness_and_static_tells_it_too(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": FIGURE})
    failed = {}
    for command, planners in (("static", [plan_rules]), ("readiness", [plan_other_rules, plan_areas])):
        request = Request(command=command, planners=planners, only=("clm001",) if command == "static" else ONE_FIGURE)
        report = conduct(Target.load(tmp_path), request)
        failed[command] = [each.check for each in report.results if each.outcome is Outcome.FAILED]
    assert failed == {"static": [RULE], "readiness": [FIGURES]}
    (referring,) = (each for each in report.results if each.check == RULE)
    assert referring.outcome is Outcome.NOT_APPLICABLE
    assert (referring.reason or "").startswith(FIGURES)


def test_a_release_plans_the_rules_without_the_figures_of_documents(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": FIGURE})
    with ExitStack() as during:
        request = Request(command="readiness", planners=release_planners(during), release=True, only=ONE_FIGURE)
        report = conduct(Target.load(tmp_path), request)
    assert [(each.check, each.outcome) for each in report.results] == [
        (FIGURES, Outcome.FAILED),
        (RULE, Outcome.NOT_APPLICABLE),
    ]


def test_a_figure_is_silenced_where_the_configuration_says_so(tmp_path: Path) -> None:
    ignores = '[tool.astrobio-audit.per_path_ignores]\n"*.md" = ["CLM001"]\n'
    (found,) = results(tmp_path, FIGURES, {"README.md": FIGURE, "pyproject.toml": SETTINGS + ignores})
    assert found.outcome is Outcome.PASSED
    assert "1 silenced by `noqa` comments or `per_path_ignores`" in (found.evidence.bound_origin or "")


def test_a_result_beside_the_claim_backs_the_figure_on_every_hardware(tmp_path: Path) -> None:
    files = {"README.md": FIGURE, "results/a.json": '{"accuracy": 0.973}\n', "pyproject.toml": SETTINGS + ON_A_GPU}
    write(tmp_path, files)
    (found,) = (each for each in report_of(tmp_path, FIGURES, profile=Profile.CPU).results if each.check == FIGURES)
    assert found.outcome is Outcome.PASSED
