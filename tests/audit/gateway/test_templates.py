"""Forks of a template: what they share with it and what not, and what happens where there can be none."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised, supervisor, templates
from audit.gateway.forks import Forked

Tell = Callable[..., str]

# What a process is, as far as it is to be the same in a fork as in a plain start.
STATE = {
    # Those of torch are the same where torch is loaded as far; all of them would be more than a message holds.
    "modules": "sorted(n for n in sys.modules if not n.startswith(('torch.', 'pkg.')))",
    "modules of torch": "len(sys.modules), sorted(n for n in sys.modules if n.count('.') == 1 and 'torch.' in n)",
    "finders": "[type(finder).__name__ for finder in sys.meta_path]",
    "main": "sorted(vars(sys.modules['__main__']))",
    "command line": "sys.argv, sys.orig_argv, sys.flags",
    "path": "sys.path",
    "environment": "sorted(os.environ.items())",
    "folder": "os.getcwd()",
    "signals": "[str(__import__('signal').getsignal(n)) for n in __import__('signal').valid_signals()],"
    "__import__('signal').pthread_sigmask(0, [])",
    "descriptors": "sorted(int(n) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n))",
    "session and group": "os.getsid(0) == os.getpid() == os.getpgid(0)",
    "limits": "[__import__('resource').getrlimit(n) for n in range(16)]",
    "streams": "[(type(s), s.encoding, s.errors, s.line_buffering, s.isatty(), s.seekable(), s.fileno())"
    " for s in (sys.stdin, sys.stdout, sys.stderr)]",
    "threads": "__import__('torch').get_num_threads(), __import__('torch').get_num_interop_threads(),"
    "[t.name for t in threading.enumerate()]",
}


@pytest.fixture
def no_templates() -> Iterator[None]:
    """No template of an earlier test is at work, and none is left."""
    templates.end()
    yield
    templates.end()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Probe]]:
    """Makes probes into an empty package."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    made: list[Probe] = []

    def probe(python: Path = Path(sys.executable), **options: Any) -> Probe:
        limits = Limits(timeout_s=30.0, memory_mb=2048)
        options = {"limits": limits, **options}
        made.append(Probe(python=python, source=tmp_path, root=tmp_path, package="pkg", **options))
        return made[-1]

    yield probe
    for each in made:
        each.close()


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Returns the text of an expression's value in a probe's process."""
    count = itertools.count()

    def told(probe: Probe, expression: str) -> str:
        name = f"told{next(count)}"
        (tmp_path / "pkg" / f"{name}.py").write_text(
            f"import os, sys, threading\nraise ValueError(str(({expression})))"
        )
        with pytest.raises(TargetRaised) as caught:
            probe.call("import_module", name=f"pkg.{name}")
        assert caught.value.type_name == "ValueError", caught.value.message
        return caught.value.message

    return told


def is_fork(probe: Probe) -> bool:
    assert probe._process is not None
    return isinstance(probe._process.popen, Forked)


def template_of(probe: Probe) -> int:
    """The process that a probe's was forked from."""
    assert probe._process is not None
    stat = Path(f"/proc/{probe._process.popen.pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def test_a_fork_is_what_a_plain_start_makes(make: Callable[..., Probe], tell: Tell) -> None:
    fork, plain = make(), make(forks=False)
    for name, expression in STATE.items():
        assert (name, tell(fork, expression)) == (name, tell(plain, expression))
    assert is_fork(fork)
    assert not is_fork(plain)


def test_processes_of_one_interpreter_are_forks_of_one_template(make: Callable[..., Probe], tell: Tell) -> None:
    first, second = make(), make()
    pids = {tell(first, "os.getpid()"), tell(second, "os.getpid()")}
    first.close()
    pids.add(tell(first, "os.getpid()"))
    assert len(pids) == 3
    assert template_of(first) == template_of(second)


def test_a_fork_has_what_it_is_to_begin_with_and_others_have_not(make: Callable[..., Probe], tell: Tell) -> None:
    first, second = make(), make()
    first.ahead = ("torch._dynamo", "no_such_module")
    assert [tell(each, "'torch._dynamo' in sys.modules") for each in (first, second)] == ["True", "False"]
    assert is_fork(first)
    assert template_of(first) != template_of(second)


def test_one_that_lasts_is_left_alone_until_the_end(make: Callable[..., Probe], tell: Tell) -> None:
    probe = make()
    pids = []
    for _ in range(2):
        pids.append(tell(probe.lasting("loads"), "os.getpid()"))
        probe.close()
    assert pids[0] == pids[1] != tell(probe, "os.getpid()")
    lasting = probe.lasting("loads")
    probe.end()
    assert lasting._process is None


@pytest.mark.slow
def test_another_environment_has_another_template(
    make: Callable[..., Probe], tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert tell(first, "os.environ['OMP_NUM_THREADS']") == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert tell(second, "os.environ['OMP_NUM_THREADS']") == "2"
    assert template_of(first) != template_of(second)


def test_what_one_fork_does_reaches_no_other(make: Callable[..., Probe], tell: Tell) -> None:
    first, second = make(), make()
    tell(first, "setattr(sys, 'spoilt', 1), setattr(__import__('torch'), 'softmax', None), os.chdir('/tmp')")
    assert tell(second, "hasattr(sys, 'spoilt'), __import__('torch').softmax is None, os.getcwd() == '/tmp'") == str(
        (False, False, False)
    )


def test_random_numbers_of_forks_differ(make: Callable[..., Probe], tell: Tell) -> None:
    ways = ("random').random()", "numpy').random.rand()", "torch').rand(1).item()", "torch').initial_seed()")
    drawn = ", ".join(f"__import__('{way}" for way in ways)
    numbers = [tell(make(), drawn)[1:-1].split(", ") for _ in range(2)]
    assert [a != b for a, b in zip(*numbers, strict=True)] == [True] * len(ways)


@pytest.mark.parametrize("data_mb", [1000, 2000])
def test_a_fork_has_the_limit_of_its_probe(make: Callable[..., Probe], tell: Tell, data_mb: int) -> None:
    probe = make(limits=Limits(memory_mb=data_mb))
    limit = data_mb * 2**20
    expected = (limit, limit) if not Path("/dev/nvidiactl").exists() else (-1, -1)
    assert tell(probe, "__import__('resource').getrlimit(__import__('resource').RLIMIT_DATA)") == str(expected)
    assert is_fork(probe)


def test_what_is_printed_while_torch_is_imported_is_output_of_each_fork(
    make: Callable[..., Probe], tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys; print('a word of warning', file=sys.stderr)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "pkg" / "ends.py").write_text("import os; os._exit(1)")
    for _ in range(2):
        probe = make()
        tell(probe, "1")
        assert is_fork(probe)
        with pytest.raises(ProbeFailure) as caught:
            probe.call("import_module", name="pkg.ends")
        assert caught.value.output_tail == "a word of warning"


@pytest.mark.parametrize(
    ("code", "forks"),
    [
        ("pass", True),
        ("import threading, time; threading.Thread(target=time.sleep, args=(300,), daemon=True).start()", False),
        ("import sys; sys.kept = open('/dev/null')", False),
        ("import subprocess, sys; sys.kept = subprocess.Popen(['sleep', '300'])", False),
        ("os._exit(3)", False),
    ],
    ids=["nothing", "thread", "open file", "process", "ends"],
)
def test_where_forks_would_share_more_than_memory_the_start_is_plain(
    make: Callable[..., Probe], tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, forks: bool
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        # Of the template alone: only its standard input is a socket.
        f"import os, stat\nif stat.S_ISSOCK(os.fstat(0).st_mode):\n    {code}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    probe = make()
    assert tell(probe, "1 + 1") == "2"
    assert is_fork(probe) is forks


def test_after_the_end_of_a_template_processes_start_nevertheless(
    make: Callable[..., Probe], tell: Tell, is_gone: Callable[[int], bool]
) -> None:
    probe = make()
    tell(probe, "1")
    template = template_of(probe)
    os.kill(template, signal.SIGKILL)
    assert is_gone(template)
    assert tell(probe, "1 + 1") == "2"


@pytest.mark.slow
@pytest.mark.usefixtures("no_templates")
def test_a_template_that_ends_unseen_is_a_plain_start(
    make: Callable[..., Probe], tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make()
    tell(first, "1")
    (template,) = templates._templates.values()
    assert template
    monkeypatch.setattr(type(template), "is_alive", True)
    os.kill(template_of(first), signal.SIGSTOP)
    os.kill(template._process.pid, signal.SIGTERM)
    template._process.wait(10)
    assert tell(second, "1 + 1") == "2"
    assert not is_fork(second)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_ended_auditor_leaves_neither_template_nor_fork(
    tmp_path: Path, is_gone: Callable[[int], bool], number: signal.Signals
) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    code = f"""
import sys
from pathlib import Path
from audit.gateway import Limits, Probe
folder = Path({str(tmp_path)!r})
probe = Probe(python=Path(sys.executable), source=folder, root=folder, package="pkg", limits=Limits())
probe.call("import_module", name="pkg")
print("ready", flush=True)
sys.stdin.read()
"""
    auditor = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert auditor.stdin
    assert auditor.stdout
    with auditor.stdin, auditor.stdout:
        assert auditor.stdout.readline() == b"ready\n"
        below = supervisor.descendants(auditor.pid)
        assert len(below) == 4  # a template, a fork, and a supervisor of each
        auditor.send_signal(number)
        assert auditor.wait(20) != 0
    assert [pid for pid in below if not is_gone(pid)] == []


@pytest.mark.usefixtures("no_templates")
def test_processes_that_start_at_once_have_one_template(make: Callable[..., Probe], tell: Tell) -> None:
    probes = [make() for _ in range(3)]
    threads = [threading.Thread(target=tell, args=(probe, "1")) for probe in probes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len({template_of(probe) for probe in probes}) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_templates")
def test_the_least_recent_template_ends_once_its_forks_have(
    make: Callable[..., Probe], tell: Tell, monkeypatch: pytest.MonkeyPatch, is_gone: Callable[[int], bool]
) -> None:
    monkeypatch.setattr(templates, "_MOST", 1)
    first, second = make(), make()
    tell(first, "1")
    template = template_of(first)
    monkeypatch.setenv("ANOTHER", "1")
    tell(second, "1")
    assert tell(first, "1 + 1") == "2"
    assert template_of(first) == template
    first.close()
    assert is_gone(template)
