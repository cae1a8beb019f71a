"""The built-in backends: what is right on a CPU, what is refused there, and how the libraries are called."""

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from audit.probe import devices
from audit.probe.benchmark.attention import check, timed
from audit.probe.benchmark.cases import Buffers, Case, case_of
from audit.probe.benchmark.contenders import BUILT_IN, Unavailable, prepared, refusals
from audit.probe.plain import NotPlain
from audit.probe.tensors import load

CASE = Case(
    batch=2,
    heads=4,
    kv_heads=2,
    length=24,
    head_dim=8,
    is_causal=True,
    window=None,
    dtype=torch.float32,
    mode="forward",
)


def built_in(name: str) -> dict[str, object]:
    return {"kind": "built_in", "name": name}


def changed(**changes: object) -> Case:
    return Case(**{**vars(CASE), **changes})  # type: ignore[arg-type]


def inputs(case: Case) -> Buffers:
    buffers = Buffers(case)
    buffers.refill(buffers.generator(0))
    return buffers


@pytest.mark.parametrize("name", ["eager", "sdpa", "sdpa_math", "sdpa_flash"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"kv_heads": 4}, {"window": 5}, {"is_causal": False}, {"is_causal": False, "window": 3}, {"mode": "decode"},
     {"mode": "decode", "window": 7}],
)  # fmt: skip
def test_those_of_torch_attend_as_the_case_says(name: str, changes: dict[str, object]) -> None:
    case = changed(**changes)
    buffers = inputs(case)
    expected = F.scaled_dot_product_attention(*buffers.leaves, attn_mask=case.allowed(), enable_gqa=True)
    with refusals():
        found = prepared(built_in(name), case)(*buffers.leaves)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["sdpa_efficient", "sdpa_cudnn"])
def test_a_kernel_that_a_cpu_does_not_have_is_refused_with_torchs_reason(name: str) -> None:
    with pytest.raises(Unavailable) as why, refusals():
        prepared(built_in(name), CASE)(*inputs(CASE).leaves)
    assert not why.value.is_absent
    assert str(why.value)


def test_other_errors_are_not_refusals() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"), refusals():
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize("name", ["flash_attn_2", "flash_attn_3", "flash_attn_4"])
def test_a_library_that_is_not_there_is_absent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("flash_attn", "flash_attn.cute", "flash_attn_interface"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable) as why:
        BUILT_IN[name](CASE)
    assert why.value.is_absent


def test_a_library_gets_its_own_layout_and_window(monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, object] = {}

    def flash_attn_func(
        q: Tensor, k: Tensor, v: Tensor, causal: bool, window_size: tuple[int, int] = (-1, -1)
    ) -> tuple[Tensor, None]:
        called.update(shape=tuple(q.shape), keys=tuple(k.shape), causal=causal, window_size=window_size)
        swapped = [each.transpose(1, 2) for each in (q, k, v)]
        mask = case.allowed()
        return F.scaled_dot_product_attention(*swapped, attn_mask=mask, enable_gqa=True).transpose(1, 2), None

    library = ModuleType("flash_attn.flash_attn_interface")
    library.flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
    monkeypatch.setitem(sys.modules, "flash_attn.flash_attn_interface", library)
    monkeypatch.setattr(devices, "on_gpu", lambda: True)
    monkeypatch.setattr(devices, "own", lambda: torch.device("cpu"))
    case = changed(window=5, dtype=torch.bfloat16)
    buffers = inputs(case)
    found = BUILT_IN["flash_attn_2"](case)(*buffers.leaves)
    assert called == {"shape": (2, 24, 4, 8), "keys": (2, 24, 2, 8), "causal": True, "window_size": (4, 0)}
    assert found.shape == buffers.query.shape
    with pytest.raises(Unavailable, match="it takes float16 and bfloat16"):
        BUILT_IN["flash_attn_2"](CASE)


def test_buffers_stay_the_same_and_their_content_does_not() -> None:
    buffers = inputs(changed(mode="backward"))
    places, before = [each.data_ptr() for each in buffers.leaves], [each.clone() for each in buffers.leaves]
    buffers.refill(buffers.generator(1), rows=[0, 7])
    assert [each.data_ptr() for each in buffers.leaves] == places
    assert not any(torch.equal(old, new) for old, new in zip(before, buffers.leaves, strict=True))
    assert sorted(set(buffers.weights.nonzero()[:, 2].tolist())) == [0, 7]


def plain_case(**changes: object) -> dict[str, object]:
    return {**vars(CASE), "dtype": "float32", **changes}


def test_an_answer_has_inputs_from_before_the_call_and_the_newest_key_in_decode() -> None:
    places, rows = [(0, 0), (1, 1)], [0]
    found = check(built_in("eager"), plain_case(mode="decode"), seed=3, places=places, rows=rows)
    tensors = load(found["tensors"])  # type: ignore[arg-type]
    expected = F.scaled_dot_product_attention(tensors["query"], tensors["key"][:, None], tensors["value"][:, None])
    assert torch.allclose(tensors["output"], expected, atol=1e-6)
    assert found["shape"] == [2, 4, 1, 8]


def test_timing_ends_with_an_answer_on_inputs_that_no_check_had() -> None:
    rule = {"relative_error": 0.5, "least": 6, "most": 6, "seconds": 60.0}
    given = {"places": [(0, 0)], "rows": [0, 23]}
    before = check(built_in("eager"), plain_case(mode="backward"), seed=0, **given)  # type: ignore[arg-type]
    found = timed(
        built_in("eager"), plain_case(mode="backward"), seed=1, **given, rule=rule, warm_up=1, method="events",
        with_memory=True,
    )  # type: ignore[arg-type]  # fmt: skip
    assert len(found["samples_ns"]) == 6  # type: ignore[arg-type]
    assert min(found["samples_ns"]) > 0  # type: ignore[type-var]
    one, other = (load(each["tensors"])["query"] for each in (before, found))  # type: ignore[arg-type]
    assert not torch.equal(one, other)
    graph = timed(
        built_in("eager"), plain_case(), seed=1, **given, rule=rule, warm_up=1, method="graph", with_memory=False
    )  # type: ignore[arg-type]
    assert graph["unavailable"] == "graphs are timed on CUDA devices, and without the backward pass"


@pytest.mark.parametrize("changes", [{"batch": "2"}, {"window": "all"}])
def test_a_case_of_other_types_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(NotPlain):
        case_of(plain_case(**changes))
