"""What is found is written out as specs that build and call the same."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.attention.contract import Contract
from audit.attention.spec.stub import spec_stub
from audit.gateway.client import Plain
from audit.probe.callee import callee_of
from audit.probe.guess.find import find

FIXTURES = Path(__file__).parents[3] / "fixtures" / "attention" / "guessed"
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
    assert '# "scale": ...,  # decide: ' in text


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


def test_specs_of_a_class_that_was_executed_alone_say_that_they_need_its_module() -> None:
    text = spec_stub(reply_of("unloadable", "Attention"))
    assert "# It was executed alone: import unloadable: ModuleNotFoundError" in text
    assert "# decide: specs import the module, so that it has to load." in text
    assert "It was" not in spec_stub(reply_of("gpt_style", "Block"))


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


CACHES = [
    ("rotary_cache", "RotaryAttention"),
    ("rolling_cache", "RollingAttention"),
]
CORPUS = FIXTURES.with_name("corpus")
# A cache that the module keeps, one that is returned, and a mask that has to be passed for later tokens to be hidden.
KEPT_AND_RETURNED = """
import math
import torch
from torch import nn


class Base(nn.Module):
    def __init__(self, dim=48, num_heads=6):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def attend(self, q, k, v):
        allowed = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def projected(self, x):
        return self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)


class Kept(Base):
    cache = None

    def reset_cache(self):
        self.cache = None

    def forward(self, x, use_cache=False):
        q, k, v = self.projected(x)
        if use_cache:
            if self.cache is not None:
                k, v = torch.cat((self.cache[0], k), dim=2), torch.cat((self.cache[1], v), dim=2)
            self.cache = (k, v)
        return self.attend(q, k, v)


class Returned(Base):
    def forward(self, x, layer_past=None, use_cache=False):
        q, k, v = self.projected(x)
        if layer_past is not None:
            k, v = torch.cat((layer_past[0], k), dim=2), torch.cat((layer_past[1], v), dim=2)
        return self.attend(q, k, v), (k, v) if use_cache else None


class Masked(Base):
    def forward(self, x, attention_mask=None, past_key_value=None):
        q, k, v = self.projected(x)
        if past_key_value is not None:
            k, v = torch.cat((past_key_value[0], k), dim=2), torch.cat((past_key_value[1], v), dim=2)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if attention_mask is not None:
            scores = scores + attention_mask
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)), (k, v)


class Without(Base):
    def forward(self, x):
        return self.attend(*self.projected(x))


class NotReached(Base):
    def forward(self, x, cache=None):
        return self.attend(*self.projected(x))
"""


def decoded_as_written(folder: Path, file: str, qualname: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode with the text and with the probe, in chunks, and compare."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, file, raising=False)
    reply = find(str(folder / f"{file}.py"), file, qualname, 0)
    (subject, *_) = reply["subjects"]  # type: ignore[misc]
    (entry, *_) = executed(spec_stub(reply)).values()  # type: ignore[arg-type]
    source = {"kind": "guess", "path": reply["path"], "module": file, "qualname": qualname}
    callee = callee_of({**source, "choices": subject["choices"]}, 0, "float32")
    torch.manual_seed(0)
    module = entry["build"]().eval()
    x, mask = torch.randn(2, 11, subject["contract"]["embed_dim"]), torch.ones(2, 11, dtype=torch.bool)
    mask[0, :3] = False
    for masked in ([], [mask]) if subject["contract"]["key_mask"] else ([],):
        leaves = {"hidden_states": x, "key_mask": masked[0] if masked else None}
        with torch.no_grad():
            expected = callee.call(leaves, {"kind": "decode", "chunks": [4, 1, 6]})
            found = entry["decode"](module, list(x.split([4, 1, 6], dim=1)), *masked)
        torch.testing.assert_close(found, expected, equal_nan=True)


@pytest.mark.parametrize(("file", "qualname"), CACHES)
def test_what_is_written_decodes_as_was_found(file: str, qualname: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded_as_written(CORPUS, file, qualname, monkeypatch)


@pytest.mark.parametrize("qualname", ["Kept", "Returned", "Masked"])
def test_each_way_to_keep_a_cache_is_written(qualname: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keeping.py").write_text(KEPT_AND_RETURNED)
    decoded_as_written(tmp_path, "keeping", qualname, monkeypatch)


def test_without_a_cache_nothing_is_said_of_decoding(tmp_path: Path) -> None:
    (tmp_path / "keeping.py").write_text(KEPT_AND_RETURNED)
    assert "decode" not in spec_stub(find(str(tmp_path / "keeping.py"), None, "Without", 0)).replace("decide", "")


def test_a_cache_whose_call_was_not_found_is_left_to_decide(tmp_path: Path) -> None:
    (tmp_path / "keeping.py").write_text(KEPT_AND_RETURNED)
    text = spec_stub(find(str(tmp_path / "keeping.py"), None, "NotReached", 0))
    assert "# decide: `decode` for its cache, whose call was not found out: " in text
    assert '"decode"' not in text
