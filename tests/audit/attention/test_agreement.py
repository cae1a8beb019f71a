"""Stand-ins are compared with what is imported in their place: here packages that a test writes, on a CPU."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit.attention.agreement import CHECK, agreement_groups, compared, judge
from audit.execute import open_probe
from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Outcome, Subject, SubjectKind
from audit.target import Target

# A library of another hand than the stand-in's: torch's own fused attention, in the layout of flash attention.
LIBRARY = '''
"""Flash attention as it is documented, for a test: dense and causal, with torch's own kernels."""

import torch
from torch.nn import functional as F

__version__ = "2.9.0"


def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0,
                    alibi_slopes=None):
    if window_size != (-1, -1) or softcap or alibi_slopes is not None:
        raise NotImplementedError("no windows, caps or biases here")
    if q.shape[-1] % 8 or q.shape[-1] > 128:
        raise RuntimeError("head_dim must be a multiple of 8 and at most 128")
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    queries, keys = q.shape[2], k.shape[2]
    place = torch.arange(queries)[:, None] + (keys - queries)
    seen = torch.arange(keys)[None] <= place if causal else torch.ones(queries, keys, dtype=torch.bool)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=softmax_scale, enable_gqa=True)
    return torch.where(seen.any(dim=-1)[:, None], out, 0.0).transpose(1, 2)
'''


@contextmanager
def run_with(folder: Path, modules: Mapping[str, str]) -> Iterator[Run]:
    """A process of a target whose folder holds these modules beside its own."""
    (folder / "own.py").write_text("import flash_attn\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    target = Target.load_tree(folder)
    with open_probe(target) as probe:
        yield Run(target=target, probe=probe, seed=0)


def judged(folder: Path, text: str, library: str = "flash_attn") -> dict[str, Judgement]:
    with run_with(folder, {library: text}) as run:
        found = compared(library, run)
    named = Subject(kind=SubjectKind.ENVIRONMENT, qualname=library)
    for each in found:
        each.result(CHECK, each.subject or named, seed=0, duration_s=None, reproduce="")
    return {str((each.subject or named).qualname): each for each in found}


def test_a_library_that_agrees_passes_and_says_of_what_and_how_far(tmp_path: Path) -> None:
    found = judged(tmp_path, LIBRARY)
    dense = found["flash_attn.flash_attn_func"]
    assert dense.outcome is Outcome.PASSED, dense.reason
    assert dense.measured is not None
    assert isinstance(dense.measured.value, float)
    assert 0 < dense.measured.value <= float(str(dense.measured.bound))
    said = dense.measured.origin
    assert "flash_attn 2.9.0 on cpu, flash_attn_func: " in said
    assert "causal, fewer queries than keys: " in said
    # What it does not take is told as that, and is no agreement.
    assert (
        "head_dim 256: not supported, it raises RuntimeError: head_dim must be a multiple of 8 and at most 128" in said
    )
    assert "causal window: not supported, it raises NotImplementedError" in said


def test_a_function_that_answers_nothing_is_not_passed(tmp_path: Path) -> None:
    found = judged(tmp_path, LIBRARY)["flash_attn.flash_attn_varlen_func"]
    assert found.outcome is Outcome.SKIPPED
    assert "flash_attn_varlen_func answers no call" in str(found.reason)


@pytest.mark.parametrize(
    ("before", "after", "case"),
    [
        (" + (keys - queries)", "", "causal, fewer queries than keys"),
        ("scale=softmax_scale", "scale=q.shape[-1] ** -1", "default scale"),
        ("<= place if", "< place if", "causal"),
    ],
    ids=["aligned with the first key", "another default scale", "the own key hidden"],
)
def test_one_edit_of_the_library_is_found(tmp_path: Path, before: str, after: str, case: str) -> None:
    assert LIBRARY.count(before) == 1
    found = judged(tmp_path, LIBRARY.replace(before, after))["flash_attn.flash_attn_func"]
    assert found.outcome is Outcome.FAILED
    assert "compute different functions: " in str(found.reason)
    assert case in str(found.reason)
    assert found.fix


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({}, "it is not installed"),
        (
            {"flash_attn": "raise OSError('libcudart.so.12: cannot open shared object file')"},
            "its import raises OSError",
        ),
    ],
    ids=["not installed", "cannot be imported"],
)
def test_a_library_that_cannot_be_used_is_not_passed(tmp_path: Path, modules: dict[str, str], said: str) -> None:
    with run_with(tmp_path, modules) as run:
        (found,) = compared("flash_attn", run)
    assert found.outcome is Outcome.SKIPPED
    assert said in str(found.reason)


def test_without_a_gpu_nothing_was_compared(tmp_path: Path) -> None:
    with run_with(tmp_path, {"flash_attn": LIBRARY}) as run:
        (found,) = judge("flash_attn", run)
    assert found.outcome is Outcome.SKIPPED
    assert str(found.reason).startswith("no CUDA device: the stand-in for flash_attn was not compared")


@pytest.mark.slow
def test_torch_itself_agrees_with_the_stand_in_for_flex_attention(tmp_path: Path) -> None:
    with run_with(tmp_path, {}) as run:
        (found,) = compared("flex_attention", run)
    assert found.outcome is Outcome.PASSED, found.reason
    assert found.measured is not None
    assert "not supported" not in found.measured.origin


def test_only_libraries_that_are_imported_are_asked_about(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("'''It says flash_attn, and xformers.'''\n")
    two.write_text("try:\n    from xformers.ops import memory_efficient_attention\nexcept ImportError:\n    pass\n")
    names = [group.subject.name for group in agreement_groups([one, two, tmp_path / "absent.py"])]
    assert names == ["xformers"]
