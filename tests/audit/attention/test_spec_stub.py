"""What is found is written out as specs that build and call the same."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.attention.contract import Contract
from audit.attention.spec_stub import spec_stub
from audit.gateway.client import Plain
from audit.probe.callee import callee_of
from audit.probe.guess.find import find

FIXTURES = Path(__file__).parents[2] / "fixtures" / "attention" / "guessed"
FILES = {path.stem for path in FIXTURES.glob("*.py")}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(FIXTURES))
    yield
    for name in FILES & sys.modules.keys():
        del sys.modules[name]


def reply_of(file: str, qualname: str) -> dict[str, Any]:
    return find(str(FIXTURES / f"{file}.py"), file, qualname, 0)


def executed(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(text, "stub", "exec"), namespace)
    return namespace["ATTENTION"]


MODULES = [
    ("gpt_style", "CausalSelfAttention"),
    ("gpt_style", "Block"),
    ("dim_heads", "Attention"),
    ("grouped_rotary", "Attention"),
    ("grouped_rotary", "TableAttention"),
    ("options", "LinearAttention"),
    ("options", "Chosen"),
    ("layouts", "SequenceFirst"),
    ("layouts", "Image"),
    ("layouts", "Volume"),
    ("layouts", "Signal"),
    ("layouts", "Flattened"),
    ("layouts", "Window"),
    ("layouts", "OfDict"),
    ("masks", "Keep"),
    ("masks", "Drop"),
    ("masks", "Added"),
    ("masks", "Required"),
    ("functions", "MultiHead"),
    ("packed", "Packed"),
]


@pytest.mark.parametrize(("file", "qualname"), MODULES)
def test_the_specs_of_a_module_build_and_call_what_was_found(file: str, qualname: str) -> None:
    reply = reply_of(file, qualname)
    entries = executed(spec_stub(reply))
    subjects = [each for each in reply["subjects"] if "context_dim" not in each["contract"]]
    assert len(entries) == len(subjects) >= 1
    x, mask = torch.randn(2, 11, 48), torch.ones(2, 11, dtype=torch.bool)
    mask[0, 8:] = False
    for entry, subject in zip(entries.values(), subjects, strict=True):
        assert entry["class"] == reply["declared"] == f"{file}:{qualname}"
        assert entry["contract"] == subject["contract"]
        source = {"kind": "guess", "path": reply["path"], "module": file, "qualname": qualname}
        callee = callee_of({**source, "choices": subject["choices"]}, 0, "float32")
        torch.manual_seed(0)
        module = entry["build"]().eval()
        for key_mask in (None, mask) if subject["contract"]["key_mask"] else (None,):
            with torch.no_grad():
                expected = callee.call(
                    {"hidden_states": x, "key_mask": key_mask}, {"kind": "forward", "is_causal": False}
                )
                found = entry["forward"](module, x, key_mask)
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("file", "qualname"),
    [
        ("functions", "attention"),
        ("functions", "flash_like"),
        ("functions", "ScaledDotProductAttention"),
        ("packed", "varlen"),
    ],
)
def test_the_specs_of_a_function_call_what_was_found(file: str, qualname: str) -> None:
    reply = reply_of(file, qualname)
    (entry,) = executed(spec_stub(reply)).values()
    (subject,) = reply["subjects"]
    assert entry["function"] == f"{file}:{qualname}"
    assert "class" not in entry
    assert "build" not in entry
    source = {"kind": "guess", "path": reply["path"], "module": file, "qualname": qualname}
    callee = callee_of({**source, "choices": subject["choices"]}, 0, "float32")
    query, key = torch.randn(2, 6, 5, 8), torch.randn(2, subject["contract"]["num_kv_heads"], 11, 8)
    mask = torch.ones(2, 1, 1, 11, dtype=torch.bool)
    mask[0, ..., 8:] = False
    for given in (None, mask) if subject["contract"]["key_mask"] else (None,):
        expected = callee.call(
            {"query": query, "key": key, "value": key, "mask": given}, {"kind": "forward", "is_causal": False}
        )
        torch.testing.assert_close(entry["forward"](query, key, key, False, given), expected)


def test_what_nothing_says_is_left_for_a_decision() -> None:
    text = spec_stub(reply_of("masks", "Keep"))
    assert '"num_heads": 6,  # argument num_heads' in text
    assert '# "is_causal": ...,  # decide: True where no position may see a later one' in text
    assert '# "projections": ...,' in text


def test_a_context_and_an_option_that_fails_are_said() -> None:
    assert (
        "# A call with a context is not one that specs can declare: module(x=hidden_states, context=context"
        in spec_stub(reply_of("dim_heads", "Attention"))
    )
    assert "# Not built with linear_type=linformer: LinearAttention(" in spec_stub(
        reply_of("options", "LinearAttention")
    )


@pytest.mark.parametrize(
    ("qualname", "said"),
    [
        ("AsksTooMuch", "# decide: AsksTooMuch(dim, oracle)"),
        ("Crashes", "# decide: it takes (x)"),
        ("Absent", "# Not found out: cannot load Absent: "),
    ],
)
def test_what_failed_has_a_stub_that_says_why_and_what_to_fill_in(qualname: str, said: str) -> None:
    text = spec_stub(reply_of("unloadable", qualname))
    assert said in text
    assert "# decide: fill in `build` and `forward`." in text
    ast.parse(text)


@pytest.mark.parametrize(("file", "qualname"), [*MODULES, ("functions", "attention"), ("functions", "flash_like")])
def test_what_is_inferred_is_a_contract(file: str, qualname: str) -> None:
    for subject in reply_of(file, qualname)["subjects"]:
        fields: dict[str, Plain] = {key: value for key, value in subject["contract"].items() if key != "context_dim"}
        assert Contract.model_validate(fields).num_heads == fields.get("num_heads")


def test_what_few_promise_is_named_by_words_that_a_contract_knows() -> None:
    text = spec_stub(reply_of("gpt_style", "Block"))
    (line,) = (line for line in text.splitlines() if "where it has them:" in line)
    named = set(line.partition("where it has them: ")[2].partition(";")[0].split(", "))
    assert named >= {"window", "soft_cap", "sinks"}
    assert named <= Contract.model_fields.keys()
    assert "rows_sum_to_one" not in named  # it was found, and stands above
