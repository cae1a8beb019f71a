"""Measures `astrobio-audit static` beside ruff and TorchFix: cold, warm, after one change, and peak memory.

    python tests/benchmarks/static_speed.py path/to/sources [--runs 5] [--workers 2] [--torchfix]

The sources are copied, since one of them is changed. Times are of whole processes: the wall's, which other work on
the machine lengthens, and the processor's, of all processes together. Nothing is asserted.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

SETTLED_S = 2.5  # files are trusted by their times only when these are 2 s old
POLL_S = 0.1


@dataclass(frozen=True)
class Run:
    """One process with its children: wall and processor seconds, and the peak of their memory together."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def measured(command: Sequence[str], environment: dict[str, str]) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peaks = [0.0]
    watch = threading.Thread(target=watch_memory, args=(process, peaks))
    watch.start()
    process.wait()
    wall_s = time.perf_counter() - start
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall_s, cpu_s, max(peaks))


def watch_memory(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    while process.poll() is None:
        peaks.append(memory_mb(process.pid))
        time.sleep(POLL_S)


def memory_mb(pid: int) -> float:
    """Return the proportional set size of a process and its children; 0 where there is no such /proc."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):
        return 0.0
    return own + sum(memory_mb(int(child)) for child in children)


def repeated(name: str, runs: int, once: Callable[[], Run]) -> Run:
    found = [once() for _ in range(runs)]
    median = Run(
        statistics.median(run.wall_s for run in found),
        statistics.median(run.cpu_s for run in found),
        max(run.memory_mb for run in found),
    )
    walls = f"{min(run.wall_s for run in found):.2f} to {max(run.wall_s for run in found):.2f}"
    memory = f"{median.memory_mb:.0f} MB" if median.memory_mb else "not measured"
    print(f"{name:<28}{median.wall_s:>9.2f} s {median.cpu_s:>9.2f} s   {walls:<18}{memory}", flush=True)
    return median


def parse_alone(tree: Path) -> list[str]:
    """Return the command that parses every file and does nothing else: no analysis of syntax trees takes less."""
    code = (
        "import ast, contextlib, gc, pathlib, sys, warnings; gc.disable(); warnings.simplefilter('ignore')\n"
        "for path in pathlib.Path(sys.argv[1]).rglob('*.py'):\n"
        "    with contextlib.suppress(SyntaxError, ValueError): ast.parse(path.read_bytes())\n"
    )
    return [sys.executable, "-c", code, str(tree)]


def compare(work: Path, options: argparse.Namespace) -> None:
    tree = work / "target" / "sources"
    environment = {"ASTROBIO_AUDIT_CACHE": str(work / "cache")}
    audit = [sys.executable, "-m", "audit.cli", "static", "--json", "--quiet", "--workers", str(options.workers)]
    audit += ["--target", str(tree), str(tree)]
    changed = max(tree.rglob("*.py"), key=lambda path: (path.stat().st_size < 100_000, path.stat().st_size))

    def cold() -> Run:
        shutil.rmtree(work / "cache", ignore_errors=True)
        return measured(audit, environment)

    def after_a_change() -> Run:
        with changed.open("a") as stream:
            stream.write("# changed\n")
        return measured(audit, environment)

    print(f"{'':<28}{'wall':>11} {'processor':>11}   {'wall, all runs':<18}peak memory")
    floor = repeated("ast.parse alone, 1 process", options.runs, lambda: measured(parse_alone(tree), {}))
    first = repeated("static, cold", options.runs, cold)
    warm = repeated("static, warm", options.runs, lambda: measured(audit, environment))
    repeated("static, one file changed", options.runs, after_a_change)
    uncached = [*audit, "--no-cache", "--workers", "1"]
    repeated("static, 1 process, no cache", options.runs, lambda: measured(uncached, {}))
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--isolated", "--select", "ALL", str(tree)]
    rivals = {"ruff, all rules, cold": repeated("ruff, all rules, cold", options.runs, lambda: measured(ruff, {}))}
    torchfix = shutil.which("torchfix")
    if options.torchfix and torchfix:
        command = [torchfix, "--select=ALL", str(tree)]
        rivals["TorchFix, all rules"] = repeated("TorchFix, all rules", 1, lambda: measured(command, {}))
    elif options.torchfix:
        print("TorchFix is not installed")
    print(f"\ncold / ast.parse alone: {first.cpu_s / floor.cpu_s:.2f} of processor time")
    for name, run in rivals.items():
        print(f"{name} / static cold: {run.wall_s / first.wall_s:.2f}, / static warm: {run.wall_s / warm.wall_s:.2f}")


def describe(tree: Path) -> None:
    files = list(tree.rglob("*.py"))
    versions = {"Python": platform.python_version()}
    for package in ("astrobio-audit", "ruff", "torchfix"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")
    print(f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+", help="folders of Python sources, analysed as one tree")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--torchfix", action="store_true", help="run TorchFix too, once; it takes minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for source in options.sources:
            destination = Path(folder) / "target" / "sources" / source.resolve().name
            keep_python = shutil.ignore_patterns("__pycache__", "*.so", "*.pyc", "*.a", "*.h", ".git")
            shutil.copytree(source, destination, ignore=keep_python)
        describe(Path(folder) / "target")
        time.sleep(SETTLED_S)
        compare(Path(folder), options)


if __name__ == "__main__":
    main()
