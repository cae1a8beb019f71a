from pathlib import Path

import pytest

from audit.elsewhere.command import words_of
from audit.options import ElsewhereOptions
from audit.profiles import Profile
from validation.readiness.command import ReadinessOptions


@pytest.mark.parametrize(
    ("name", "variable"), [("python", "ASTROBIO_AUDIT_PYTHON"), ("config", "ASTROBIO_AUDIT_CONFIG")]
)
def test_a_path_of_a_variable_stays_here_and_one_of_a_flag_goes(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    options = ElsewhereOptions(**{name: Path("there/it")}, gateway="ssh=host")  # type: ignore[arg-type]
    monkeypatch.delenv(variable, raising=False)
    assert words_of(options, "smoke") == ["smoke", "--json", f"--{name}=there/it"]
    monkeypatch.setenv(variable, "there/it")
    assert words_of(options, "smoke") == ["smoke", "--json"]
    monkeypatch.setenv(variable, "here/it")
    assert words_of(options, "smoke") == ["smoke", "--json", f"--{name}=there/it"]


def test_a_seed_goes_wherever_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTROBIO_AUDIT_SEED", "3")
    assert words_of(ElsewhereOptions(seed=3), "smoke") == ["smoke", "--json", "--seed=3"]


def test_a_profile_goes_too() -> None:
    options = ReadinessOptions(profile=Profile.MULTI_GPU, gateway="ssh=host")
    assert words_of(options, "readiness") == ["readiness", "--json", "--profile=multi-gpu"]
    assert words_of(ReadinessOptions(gateway="ssh=host"), "readiness") == ["readiness", "--json"]
