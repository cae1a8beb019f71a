"""Stand-ins are there for one context, in every way in which a target may ask for them, and gone afterwards."""

import importlib
import importlib.metadata
import importlib.util
import sys
import types

import pytest
import torch
from torch.nn.attention import flex_attention

from audit.probe.standins.installing import NAMES, absent, installed, not_installed, replaced
from audit.probe.standins.recorded import Record

IMPORTED = {
    "flash_attn": "2.8.3",
    "flash_attn_interface": "3.0.0b1",
    "xformers": "0.0.35",
}


@pytest.mark.parametrize("name", IMPORTED)
def test_a_stand_in_is_found_in_every_way_and_leaves_nothing_behind(name: str) -> None:
    finders, modules = list(sys.meta_path), set(sys.modules)
    with installed(name, Record()):
        module = importlib.import_module(name)
        assert module.__version__ == IMPORTED[name]
        assert importlib.util.find_spec(name) is not None
        if name != "flash_attn_interface":  # that of the third version has another
            assert importlib.metadata.version(name) == IMPORTED[name]
    assert sys.meta_path == finders
    assert set(sys.modules) - modules == set()
    with pytest.raises(ImportError):
        importlib.import_module(name)
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(name)


def test_parts_of_a_library_are_imported_by_their_own_names() -> None:
    with installed("flash_attn", Record()):
        rotary = importlib.import_module("flash_attn.layers.rotary")
        assert rotary is sys.modules["flash_attn"].layers.rotary
        assert importlib.util.find_spec("flash_attn.bert_padding") is not None
        with pytest.raises(ImportError):
            importlib.import_module("flash_attn.losses")
    with installed("xformers", Record()):
        assert importlib.import_module("xformers.ops.fmha").LowerTriangularMask


def test_what_was_there_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    there = types.ModuleType("flash_attn")
    monkeypatch.setitem(sys.modules, "flash_attn", there)
    with installed("flash_attn", Record()):
        assert sys.modules["flash_attn"] is not there
    assert sys.modules["flash_attn"] is there


def test_what_is_installed_can_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    there = types.ModuleType("flash_attn")
    monkeypatch.setitem(sys.modules, "flash_attn", there)
    with not_installed("flash_attn"):
        assert importlib.util.find_spec("flash_attn") is None
        with pytest.raises(ImportError):
            importlib.import_module("flash_attn.bert_padding")
    assert sys.modules["flash_attn"] is there


def test_an_exception_removes_a_stand_in_too() -> None:
    before = torch.compile, flex_attention.flex_attention
    for name in NAMES:
        with pytest.raises(KeyError), installed(name, Record()):
            raise KeyError
    assert "flash_attn" not in sys.modules
    assert (torch.compile, flex_attention.flex_attention) == before


def test_nothing_is_compiled_while_flex_attention_is_replaced() -> None:
    record = Record()
    with installed("flex_attention", record):
        compiled = torch.compile(flex_attention.flex_attention, dynamic=False)
        compiled(*[torch.randn(1, 1, 2, 2)] * 3)

        @torch.compile(mode="max-autotune")
        def function() -> int:
            return 1

        assert function() == 1
    assert record.calls == {"torch.nn.attention.flex_attention": 1}


def test_attributes_are_replaced_and_taken_away_for_one_context() -> None:
    class Owner:
        there = 1

    with replaced(Owner, "there", 2), replaced(Owner, "new", 3):
        assert (Owner.there, vars(Owner)["new"]) == (2, 3)
    assert Owner.there == 1
    assert not hasattr(Owner, "new")
    with absent(Owner, "there"):
        assert not hasattr(Owner, "there")
    assert Owner.there == 1
