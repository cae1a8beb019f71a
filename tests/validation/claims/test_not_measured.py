"""What is not measured: claims that are published nowhere, slow ones, and those for other hardware."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.claims import Needs
from audit.errors import UsageError
from audit.gateway import ProbeFailure
from audit.report.document import Environment, Report
from audit.results import Location, Result
from audit.session import Request, conduct
from audit.target import Target
from validation.claims import plan
from validation.claims.hardware import Missing, device_for
from validation.claims.plan import plan_claims

Measure = Callable[..., Result]
HOLDS = 'kind = "metric"\nmeasure = "zoo.measured:figure"\nat_least = 0.5\n'


@pytest.mark.parametrize(
    ("published", "words"),
    [
        ('file = "README.md", text = "as we said"', "README.md does not contain 'as we said'"),
        ('file = "README.md", text = "as we say", line = 3', "on line 4 of README.md, not on line 3"),
        ('file = "GONE.md", text = "as we say"', "GONE.md cannot be read"),
        ('file = "../README.md", text = "as we say"', "lies outside the target"),
        ('file = "zoo", text = "as we say"', "zoo is not a file"),
    ],
)
def test_a_claim_that_is_not_published_is_an_error(measured: Measure, published: str, words: str) -> None:
    found = measured(f"published = {{ {published} }}\n{HOLDS}")
    assert found.outcome == "error"
    assert words in (found.reason or "")


def test_words_are_found_across_lines(measured: Measure) -> None:
    found = measured(f'published = {{ file = "README.md", text = "true, as we" }}\n{HOLDS}')
    assert found.outcome == "passed"
    assert (found.subject.path, found.subject.line) == ("README.md", 3)


def test_a_slow_claim_is_measured_only_when_asked_for(measured: Measure) -> None:
    keys = f"slow = true\ntimeout_s = 30\n{HOLDS}"
    skipped = measured(keys)
    assert skipped.outcome == "skipped"
    assert (skipped.reason or "").startswith("not run: slow, it may take 30 s")
    asked = measured(keys, slow=True)
    assert asked.outcome == "passed"
    assert "--slow" in (asked.evidence.reproduce or "")


@pytest.mark.parametrize(
    ("limit", "said", "fix"),
    [
        ("timeout_s = 5", "5 s, its timeout_s", "`timeout_s = 50`"),
        ("", "60 s, timeout_s of [tool.astrobio-audit], for the claim has none", "`timeout_s = 600`"),
    ],
)
def test_a_claim_that_takes_too_long_says_which_key_limits_it(
    project: Callable[[str], Path], limit: str, said: str, fix: str
) -> None:
    pair = 'baseline = "zoo.measured:slow"\ncandidate = "zoo.measured:fast"\ninputs = "zoo.measured:inputs"\n'
    target = Target.load(project(f'kind = "speed_ratio"\n{pair}at_least = 2.0\n{limit}'))
    failure = ProbeFailure("timed out: claim_times took longer than 1.2 s", timed_out=True)
    judgement = plan._timed_out(target.settings.claims[0], Location(path="README.md", line=3), failure, target)
    assert judgement.outcome == "error"
    assert judgement.reason == f"timed out: measuring 'it' took longer than {said}"
    assert fix in (judgement.fix or "")
    assert "fewer pairs than 40" in (judgement.fix or "")


def test_a_claim_for_hardware_that_is_not_here_says_what_is_missing(measured: Measure) -> None:
    found = measured(f'needs = {{ device = "gpu", gpu_name = "Imaginary 9", gpus = 3 }}\n{HOLDS}')
    assert found.outcome == "skipped"
    assert "needs 3 GPUs called Imaginary 9; torch" in (found.reason or "")


def test_the_report_names_the_machine(report: Callable[..., Report]) -> None:
    environment = report(HOLDS).provenance.environment
    assert environment is not None
    assert environment.memory_bytes > 0


def seen(*devices: tuple[str, int]) -> Environment:
    return Environment.model_validate(
        {
            "python": "3.12",
            "torch": "2.11",
            "cuda": "13.0",
            "devices": [{"name": name, "memory_bytes": gib * 2**30, "capability": "9.0"} for name, gib in devices],
            "libraries": {},
            "threads": 1,
            "cpu_count": 2,
            "memory_bytes": 16 * 2**30,
        }
    )


def test_the_first_gpu_that_fits_is_taken() -> None:
    environment = seen(("NVIDIA A100", 80), ("NVIDIA H100", 80))
    assert device_for(Needs(device="gpu", gpu_name="h100"), environment) == "cuda:1"
    assert device_for(Needs(device="gpu", gpus=2, memory_gib=80), environment) == "cuda:0"
    assert device_for(Needs(memory_gib=16), environment) == "cpu"


@pytest.mark.parametrize(
    "needs",
    [
        Needs(device="gpu", gpus=3),
        Needs(device="gpu", gpu_name="H100", gpus=2),
        Needs(device="gpu", memory_gib=81),
        Needs(memory_gib=17),
    ],
)
def test_a_machine_with_less_will_not_do(needs: Needs) -> None:
    with pytest.raises(Missing):
        device_for(needs, seen(("NVIDIA A100", 80), ("NVIDIA H100", 80)))


def test_a_target_without_claims_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    target = Target.load(tmp_path, package="zoo")
    with pytest.raises(UsageError, match="no claims are declared"):
        conduct(target, Request(command="claims", planners=[lambda collected: plan_claims(collected, slow=False)]))
