"""How claims are declared: each mistake is one line that says where it is and what to write."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.claims import Metric
from audit.errors import UsageError
from audit.target import Target

METRIC = 'kind = "metric"\nmeasure = "zoo.measured:figure"\n'
PAIR = 'baseline = "zoo.measured:slow"\ncandidate = "zoo.measured:fast"\ninputs = "zoo.measured:inputs"\n'
COMMAND = 'command = ["{python}"]\nfigure = "a"\n'


def test_a_claim_is_read(project: Callable[..., Path]) -> None:
    (claim,) = Target.load(project(f"{METRIC}at_most = 3\nseeds = [1, 2]")).settings.claims
    assert isinstance(claim, Metric)
    assert (claim.id, claim.bound, claim.comparison, claim.seeds) == ("it", 3.0, "<=", (1, 2))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("at_least = 1", "claims, entry 1: lacks kind, which is one of speed_ratio, memory_ratio, accuracy, metric"),
        ('kind = "speed"\nat_least = 1', "claims, entry 1: input tag 'speed'"),
        (f"{METRIC}at_leest = 1", "claims, entry 1, metric.at_leest: unknown key; did you mean 'at_least'?"),
        (
            f"{METRIC}at_least = 1\nxyzzy = 2",
            "claims, entry 1, metric.xyzzy: unknown key; known keys: at_least, at_most,",
        ),
        (METRIC, "give one of at_least and at_most"),
        (f"{METRIC}at_least = 1\nat_most = 2", "give one of at_least and at_most"),
        (f"{METRIC}at_least = nan", "claims, entry 1, metric.at_least: should be a number, got nan"),
        (f"{METRIC}at_least = '1'", "claims, entry 1, metric.at_least: input should be a valid number"),
        (f"{METRIC}at_least = 1\nid = 'A b'", "claims, entry 1, metric.id: should be small letters, digits and _"),
        (f"{METRIC}at_least = 1\nstatement = ' '", "claims, entry 1, metric.statement: should say something"),
        (f"{METRIC}at_least = 1\nseeds = [1, 1]", "a seed is named twice"),
        (f"{METRIC}at_least = 1\ntimeout_s = 0", "claims, entry 1, metric.timeout_s: input should be greater than 0"),
        (
            f"{METRIC}at_least = 1\npublished = {{ file = 'a' }}",
            "claims, entry 1, metric.published.text: field required",
        ),
        (f"{METRIC}at_least = 1\npublished = {{ fil = 'a', file = 'b', text = 'c' }}", "did you mean 'file'?"),
        (f"{METRIC}at_least = 1\nneeds = {{ gpus = 2 }}", "gpu_name and gpus need device = 'gpu'"),
        (
            f"{METRIC}at_least = 1\nneeds = {{ device = 'tpu' }}",
            "claims, entry 1, metric.needs.device: input should be 'cpu'",
        ),
        ("kind = 'metric'\nat_least = 1", "give one of measure and command"),
        (f"{METRIC}{COMMAND}at_least = 1", "give one of measure and command"),
        ("kind = 'metric'\ncommand = ['a']\nat_least = 1", "give both or neither"),
        ("kind = 'metric'\ncommand = []\nfigure = 'a'\nat_least = 1", "claims, entry 1, metric.command: "),
        ("kind = 'metric'\nmeasure = 'zoo.measured'\nat_least = 1", "measure: should be written 'module:name'"),
        (f"{METRIC}figure_file = 'a'\nat_least = 1", "figure_file is where command writes"),
        ("kind = 'accuracy'\nmeasure = 'a:b'\nat_least = 1.5", "lies between 0 and 1"),
        (f"kind = 'accuracy'\n{COMMAND}at_least = 0.5", "samples is the key of their number"),
        (f"kind = 'speed_ratio'\n{PAIR}at_least = 0", "the bound of a ratio is above 0"),
        (f"kind = 'speed_ratio'\n{PAIR}at_least = 2\npairs = 5", "pairs: input should be greater than or equal to 6"),
        ("kind = 'memory_ratio'\nbaseline = 'a:b'\ninputs = 'a:b'\nat_most = 1", "candidate: field required"),
    ],
)
def test_a_mistake_is_told_in_one_line(project: Callable[..., Path], keys: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        Target.load(project(keys))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "value error" not in str(refused.value)


def test_two_claims_with_one_id_are_refused(project: Callable[..., Path]) -> None:
    root = project(f"{METRIC}at_least = 1")
    file = root / "pyproject.toml"
    text = file.read_text()
    file.write_text(text + "\n" + text[text.index("[[") :])
    with pytest.raises(UsageError, match="claims: id 'it' is given twice"):
        Target.load(root)
