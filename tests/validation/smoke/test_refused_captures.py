"""What torch refuses to capture is told in one line, at the line of the model that it names."""

from pathlib import Path

import pytest

from audit.probe.behaving.refusing import in_short, refusal
from audit.results import Outcome

from .written import Model, results_of_models

BRANCH = "y = self.layer(x)\n        if y.sum() > 0:\n            return y\n        return y * 2"


@pytest.mark.parametrize(("key", "check"), [("compiles", "smoke.compile"), ("exports", "smoke.export")])
def test_a_branch_on_numbers_is_told_at_its_line(tmp_path: Path, key: str, check: str) -> None:
    models = {
        "branches": Model(forward=BRANCH, entry=f"['{key}'] = True"),
        "unpromised": Model(forward=BRANCH),
        "straight": Model(entry=f"['{key}'] = True"),
    }
    found = results_of_models(tmp_path, models, only=(check,))
    of = {name: result for name, results in found.items() for result in results if result.check == check}
    assert (of["branches"].outcome, of["straight"].outcome) == (Outcome.FAILED, Outcome.PASSED)
    assert of["unpromised"].outcome is (Outcome.NOT_APPLICABLE if key == "exports" else Outcome.PASSED)
    lines = (tmp_path / "zoo" / "models.py").read_text().splitlines()
    place = of["branches"].location
    for name in ("branches", "unpromised"):
        assert "\n" not in (of[name].reason or "")
    assert place
    assert place.line
    assert lines[place.line - 1].strip() == "if y.sum() > 0:"


def test_an_array_that_is_asked_for_is_told_at_its_line(tmp_path: Path) -> None:
    asks = "y = self.layer(x)\n        return y + torch.from_numpy(y.detach().numpy())"
    models = {"asks": Model(forward=asks, entry="['exports'] = True")}
    (result,) = results_of_models(tmp_path, models, only=("smoke.export",))["asks"]
    assert result.outcome is Outcome.FAILED
    assert result.location
    line = (tmp_path / "zoo" / "models.py").read_text().splitlines()[(result.location.line or 0) - 1]
    assert line.strip() == "return y + torch.from_numpy(y.detach().numpy())"


def test_a_reason_is_the_first_paragraph_in_one_line() -> None:
    said = "Data-dependent branching\n  Explanation: it  branches.\n\n  Hint: use torch.cond\n"
    assert in_short(said) == "Data-dependent branching; Explanation: it branches."
    assert in_short("") == ""
    long = in_short("word " * 1000)
    assert len(long) <= 404
    assert long.endswith("word ...")
    said = 'no\n\nfrom user code:\n  File "/a/b.py", line 3, in f\n  File "/a/c.py", line 14, in g\n'
    assert refusal(ValueError(said)) == ("ValueError: no", [["/a/b.py", 3], ["/a/c.py", 14]])
