"""A plug-in for pytest that writes down what happens. It runs with the owner's tests, in the target's interpreter.

The file is copied into a folder of its own and loaded by name: nothing else of the auditor's is on the path there. What
it writes is data, which the auditor reads as such.

For each test it knows which lines ran, where the coverage package is installed. What a fixture for several tests does
belongs to all tests that use the fixture, and a test that starts a process may run anything.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_RECORD = os.environ["ASTROBIO_AUDIT_RECORD"]
_ROOT = os.environ["ASTROBIO_AUDIT_ROOT"]
_PACKAGE = os.environ["ASTROBIO_AUDIT_PACKAGE"]
_SELECTED = os.environ.get("ASTROBIO_AUDIT_SELECTED", "")
_WITH_LINES = os.environ.get("ASTROBIO_AUDIT_LINES", "") == "1"
_STARTING = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system")
_SHOWN = 300


class Recorder:
    """What is known so far; written at the end, and each failure when it happens."""

    def __init__(self) -> None:
        """Begin with the lines, so that those which the first import runs are seen."""
        self.tests: dict[str, dict[str, object]] = {}
        self.starts: set[str] = set()
        self.current = ""
        self.context = ""
        self.selected = set(json.loads(Path(_SELECTED).read_text())) if _SELECTED else None
        self.files = {name.partition("::")[0] for name in self.selected or ()}
        self.coverage = None
        if _WITH_LINES:
            import coverage

            self.coverage = coverage.Coverage(
                data_file=None, include=[os.path.join(_ROOT, "*")], config_file=False, messages=False
            )
            self.coverage.set_option("run:disable_warnings", ["no-data-collected", "module-not-measured"])
            self.coverage.start()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _STARTING and self.current:
            self.starts.add(self.current)

    def switch(self, context: str) -> str:
        """Let what runs from now on belong to `context`; return what it belonged to."""
        before, self.context = self.context, context
        if self.coverage is not None:
            self.coverage.switch_context(context)
        return before

    def write(self, **what: object) -> None:
        """Append one line to the record."""
        with open(_RECORD, "a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")

    def lines(self) -> dict[str, dict[str, list[int]]]:
        """Return the lines that ran, by file relative to the root and by context."""
        if self.coverage is None:
            return {}
        self.coverage.stop()
        data = self.coverage.get_data()
        found: dict[str, dict[str, list[int]]] = {}
        for path in data.measured_files():
            by_context: dict[str, list[int]] = {}
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts:
                    by_context.setdefault(context, []).append(line)
            found[os.path.relpath(os.path.realpath(path), os.path.realpath(_ROOT))] = by_context
        return found

    # What follows are pytest's hooks.

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """Leave out files of which no test is selected: importing them takes time."""
        if self.selected is None or collection_path.suffix != ".py" or collection_path.name == "conftest.py":
            return None
        name = os.path.relpath(collection_path, config.rootpath).replace(os.sep, "/")
        return None if name in self.files or collection_path.name == "__init__.py" else True

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the selected tests, and note the others' names and fixtures."""
        if self.selected is not None:
            left_out = [item for item in items if item.nodeid not in self.selected]
            items[:] = [item for item in items if item.nodeid in self.selected]
            config.hook.pytest_deselected(items=left_out)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what will run."""
        tests = {item.nodeid: sorted(getattr(item, "fixturenames", ())) for item in session.items}
        self.write(kind="collected", tests=tests)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if report.failed:
            self.write(kind="uncollected", node=report.nodeid, text=str(report.longrepr)[-_SHOWN:])

    def pytest_internalerror(self, excrepr: object) -> None:
        """Note that pytest itself failed."""
        self.write(kind="internal", text=str(excrepr)[-_SHOWN:])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Let all of a test belong to it."""
        self.current = item.nodeid
        self.switch(item.nodeid)
        try:
            return (yield)
        finally:
            self.current = ""
            self.switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        """Let what a shared fixture does belong to all that use it."""
        if fixturedef.scope == "function":
            return (yield)
        context = f"fixture:{fixturedef.argname}@{fixturedef.baseid}"  # and below which node it can be used
        before = self.switch(context)
        test, self.current = self.current, context
        try:
            return (yield)
        finally:
            self.current = test
            self.switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure at once, and add up how long a test takes."""
        known = self.tests.setdefault(report.nodeid, {"outcome": "passed", "seconds": 0.0})
        known["seconds"] = float(str(known["seconds"])) + report.duration
        if report.failed:
            known["outcome"] = "failed"
            self.write(kind="failed", test=report.nodeid, text=_reason(report))
        elif report.skipped and known["outcome"] == "passed":
            known["outcome"] = "skipped"

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the rest."""
        modules = {
            name: file
            for name, module in sorted(sys.modules.items())
            if (name == _PACKAGE or name.startswith(f"{_PACKAGE}."))
            and isinstance(file := getattr(module, "__file__", None), str)
        }
        self.write(
            kind="finished",
            status=int(exitstatus),
            tests=self.tests,
            starts=sorted(self.starts),
            modules=modules,
            lines=self.lines(),
        )


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)[:_SHOWN]


_RECORDER = Recorder()


def pytest_configure(config: pytest.Config) -> None:
    """Register the hooks."""
    config.pluginmanager.register(_RECORDER, "astrobio-audit-recorder")
