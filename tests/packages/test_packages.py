"""The attention audit on packages that are not ours: nothing is called wrong that is right, and how much is judged
does not fall. `make test-packages` installs them; where one is missing its tests are skipped.
"""

import importlib.util
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest

from . import known_defects
from .judged_package import Judged, folder_of, groups_of, judged, process_for
from .known_defects import Defect

pytestmark = [pytest.mark.packages, pytest.mark.timeout(1800)]

_MODELS = "llama mistral gemma2 gemma3 qwen2 phi3 gpt2 bert t5 vit clip whisper falcon bloom gpt_neox opt"
_MORE_MODELS = """bart albert electra roberta distilbert deberta deberta_v2 mpnet longformer big_bird xlnet reformer
funnel led pegasus marian mbart m2m_100 blenderbot codegen gptj gpt_neo gpt_bigcode cohere olmo olmo2 phi stablelm
starcoder2 mixtral qwen3 qwen2_moe deepseek_v3 glm granite nemotron persimmon dbrx jamba mpt xglm biogpt wav2vec2 hubert
wavlm swin swinv2 beit deit dinov2 segformer pvt detr deformable_detr blip blip_2 siglip layoutlmv3 sam esm perceiver
vilt encodec musicgen"""


def _modeling(names: str) -> tuple[str, ...]:
    return tuple(f"models/{name}/modeling_{name}.py" for name in names.split())


@dataclass(frozen=True)
class Expected:
    """What is judged of a package, and how much of it was: classes and functions called, checks passed.

    A tenth less is let pass, for names come and go between versions. `defects` are failures that were read and are the
    package's own.
    """

    package: str
    files: tuple[str, ...]
    called: int
    passed: int
    measured_with: str
    only: str = ""
    defects: tuple[Defect, ...] = ()


EXPECTED = {
    "torch": Expected(
        "torch",
        ("nn/modules/activation.py",),
        called=1,
        passed=34,
        measured_with="torch 2.13.0",
        only="MultiheadAttention",
    ),
    "transformers": Expected(
        "transformers", _modeling(_MODELS), called=34, passed=944, measured_with="transformers 5.24.0, 16 models"
    ),
    "transformers, more": Expected(
        "transformers", _modeling(_MORE_MODELS), called=123, passed=2794, measured_with="transformers 5.24.0, 64 models"
    ),
    "timm": Expected(
        "timm",
        ("layers", "models"),
        called=64,
        passed=1143,
        measured_with="timm 1.0.31",
        defects=known_defects.TIMM,
    ),
    "diffusers": Expected(
        "diffusers",
        ("models",),
        called=133,
        passed=3956,
        measured_with="diffusers 0.42.1",
        defects=known_defects.DIFFUSERS,
    ),
    "x-transformers": Expected(
        "x_transformers",
        ("x_transformers.py", "attend.py"),
        called=2,
        passed=109,
        measured_with="x-transformers 2.31.10",
        defects=known_defects.X_TRANSFORMERS,
    ),
}


@cache  # what is found of a package is judged once, and asked about twice
def _judged(name: str) -> list[Judged]:
    expected = EXPECTED[name]
    folder = folder_of(expected.package)
    if folder is None:
        pytest.skip(f"{expected.package} is not installed; `make test-packages` installs it")
    # In a process of its own, for a package may be there and not be importable, and this one must not hold it.
    tried = subprocess.run(
        [sys.executable, "-c", f"import {expected.package}"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        reason = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"{expected.package} cannot be imported: {reason}")
    target, groups = groups_of(folder, expected.files)
    with process_for(target) as run:
        return [judged(group, run) for group in groups if (group.subject.qualname or "").startswith(expected.only)]


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_right_is_called_wrong_and_as_much_is_judged_as_was(name: str) -> None:
    expected = EXPECTED[name]
    found = _judged(name)
    wrong = [reason for each in found for reason in each.wrong]
    assert [text for text in wrong if not any(defect.is_told_by(text) for defect in expected.defects)] == []
    called = [each for each in found if each.problem is None]
    counts = sum((each.counts for each in found), Counter[str]())
    listed = "\n".join(f"{each.name}: {each.problem}" for each in found if each.problem)
    enough = 10 * len(called) >= 9 * expected.called, 10 * counts["passed"] >= 9 * expected.passed
    assert enough == (True, True), (
        f"{len(called)} of {len(found)} called, {dict(counts)}; measured with {expected.measured_with}\n{listed}"
    )


@pytest.mark.parametrize("name", [name for name, each in EXPECTED.items() if each.defects])
def test_defects_that_were_read_are_found(name: str) -> None:
    wrong = [reason for each in _judged(name) for reason in each.wrong]
    defects = EXPECTED[name].defects
    assert [each for each in defects if not any(each.is_told_by(reason) for reason in wrong)] == []


def test_what_is_not_installed_is_told_without_importing_it() -> None:
    assert importlib.util.find_spec("no_such_package_at_all") is None
    assert folder_of("no_such_package_at_all") is None
