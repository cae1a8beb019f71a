"""Compares two benchmarks: a regression is sure and large, or there is no call."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from audit.errors import UsageError
from audit.report.text import one_line
from validation.benchmark.document import BenchmarkDocument, Compared, Hardware, Verdict, exit_code_of
from validation.benchmark.rows import Row
from validation.benchmark.spread import change_between

_MAX_BYTES = 512 * 1024 * 1024
_HARDWARE = ("kind", "name", "memory_bytes", "cores", "threads", "capability", "machine")
_SOFTWARE = ("torch", "cuda", "platform")
_MEMORY_TOLERANCE = 0.02  # a kernel update changes what is left of a machine's memory
_METHOD = ("clock", "rounds", "seconds_per_row")


def read_document(path: Path, *, option: str) -> BenchmarkDocument:
    """Read and validate a benchmark.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{option} {path}: larger than {_MAX_BYTES} bytes; this is no benchmark")
        return parse_document(content, named=f"{option} {path}")
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror}; name a file that bench wrote") from error


def parse_document(content: bytes, *, named: str) -> BenchmarkDocument:
    """Validate the text of a benchmark, which a message calls `named`.

    Raises:
        UsageError: it is none.
    """
    try:
        return BenchmarkDocument.model_validate_json(content)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise UsageError(f"{named}: not a valid benchmark: {where}: {first['msg']}") from invalid


def compared(
    new: BenchmarkDocument, old: BenchmarkDocument, *, source: str, practical_bound: float, other_hardware: bool
) -> BenchmarkDocument:
    """Return the new benchmark with how it differs from the old one.

    Raises:
        UsageError: they are of different hardware and that is not allowed, or have no row in common.
    """
    hardware = [*_different(_facts(old.hardware, _HARDWARE), _facts(new.hardware, _HARDWARE))]
    if hardware and not other_hardware:
        raise UsageError(
            f"--compare {source}: measured on other hardware ({'; '.join(hardware)}); --other-hardware compares anyway"
        )
    software = _facts(old.hardware, _SOFTWARE) | _text(old.hardware.libraries)
    newer = _facts(new.hardware, _SOFTWARE) | _text(new.hardware.libraries)
    method = [{key: str(getattr(each.method, key)) for key in _METHOD} for each in (old, new)]
    differences = [*hardware, *_different(software, newer), *_different(*method)]
    before = {row.key: row for row in old.rows if row.timing is not None}
    common = [row for row in new.rows if row.key in before]
    if not common:
        raise UsageError(f"--compare {source}: no row that it has a time of is in this run: nothing to compare")
    verdicts = tuple(_verdict(before[row.key], row, practical_bound) for row in common)
    found = Compared(source=source, practical_bound=practical_bound, differences=tuple(differences), verdicts=verdicts)
    fields = {name: getattr(new, name) for name in BenchmarkDocument.model_fields}
    return BenchmarkDocument.model_validate({**fields, "compared": found, "exit_code": exit_code_of(new.rows, found)})


def _verdict(old: Row, new: Row, practical_bound: float) -> Verdict:
    case, backend = new.key
    if old.timing is None or new.timing is None:
        said = one_line(new.reason or "", 200)
        return Verdict(case=case, backend=backend, call="lost", reason=f"had a time and has none: {said}")
    interval = change_between(old.timing.rounds_ns, new.timing.rounds_ns)
    if interval is None:
        reason = "fewer than two rounds in one of the runs: not enough to tell a change from noise"
        return Verdict(case=case, backend=backend, call="no call", reason=reason)
    numbers = {"change": interval.change, "low": interval.low, "high": interval.high}
    said = f"{interval.change:+.1%} time, 95 % interval {interval.low:+.1%} to {interval.high:+.1%}"
    if not interval.excludes_zero:
        return Verdict(case=case, backend=backend, call="no call", reason=f"{said}, which holds zero", **numbers)
    if abs(interval.change) <= practical_bound:
        reason = f"{said}, within the practical bound of {practical_bound:.1%}"
        return Verdict(case=case, backend=backend, call="no call", reason=reason, **numbers)
    if interval.change > 0:
        return Verdict(case=case, backend=backend, call="regression", reason=said, **numbers)
    return Verdict(case=case, backend=backend, call="improvement", reason=said, **numbers)


def _facts(hardware: Hardware, names: tuple[str, ...]) -> dict[str, str]:
    return {name: str(getattr(hardware, name)) for name in names}


def _text(libraries: Mapping[str, str | None]) -> dict[str, str]:
    return {name: version or "not installed" for name, version in libraries.items()}


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in {**old, **new}:
        before, after = old.get(name, "unknown"), new.get(name, "unknown")
        if before == after or (name == "memory_bytes" and _nearly(before, after)):
            continue
        yield f"{name.replace('_', ' ')} {one_line(before, 80)} and now {one_line(after, 80)}"


def _nearly(before: str, after: str) -> bool:
    if not (before.isdigit() and after.isdigit()):
        return False
    return abs(int(before) - int(after)) <= _MEMORY_TOLERANCE * max(int(before), int(after))
