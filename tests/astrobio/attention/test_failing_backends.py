"""A backend that raises is told of, and the next one takes over."""

import threading

import pytest
import torch
from torch import Tensor

from astrobio.attention import BackendFailedWarning, attention, functional, last_selection
from astrobio.attention.backends import BACKENDS, AttentionCall


class Raising:
    """A backend that supports everything and computes nothing."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        return None

    def run(self, call: AttentionCall) -> Tensor:
        raise self.error


def install(monkeypatch: pytest.MonkeyPatch, *backends: Raising, with_ours: bool = True) -> None:
    added = {backend.name: backend for backend in backends}
    chain = {**added, **BACKENDS} if with_ours else added
    monkeypatch.setattr(functional, "BACKENDS", chain)
    monkeypatch.setattr(functional, "check_backend_name", lambda name: None)


INPUTS = torch.randn(3, 1, 2, 4, 6, generator=torch.Generator().manual_seed(0)).unbind()


def test_a_backend_that_raises_is_warned_about_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = attention(*INPUTS, backend="sdpa")
    install(monkeypatch, Raising("broken", RuntimeError("no kernel image")), Raising("worse", KeyError("symbol")))
    with pytest.warns(BackendFailedWarning) as caught:
        actual = attention(*INPUTS)
    assert [str(warning.message) for warning in caught] == [
        "attention backend 'broken' failed with RuntimeError: no kernel image; 'worse' takes over",
        "attention backend 'worse' failed with KeyError: 'symbol'; 'sdpa' takes over",
    ]
    assert caught[0].filename == __file__
    assert torch.equal(actual, expected)
    selection = last_selection()
    assert selection is not None
    assert selection.name == "sdpa"
    assert selection.failed == {"broken": "RuntimeError: no kernel image", "worse": "KeyError: 'symbol'"}
    assert list(selection.not_used) == ["broken", "worse", *(name for name in BACKENDS if name != "sdpa")]
    assert selection.not_used["broken"] == "it failed with RuntimeError: no kernel image"
    assert selection.not_used["worse"] == "it failed with KeyError: 'symbol'"
    assert selection.not_used["eager"] == "sdpa comes first"


def test_a_backend_that_was_asked_for_by_name_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Raising("broken", RuntimeError("no kernel image")))
    with pytest.raises(RuntimeError, match="no kernel image"):
        attention(*INPUTS, backend="broken")


def test_where_all_fail_the_last_error_tells_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        monkeypatch, Raising("broken", RuntimeError("first")), Raising("worse", KeyError("second")), with_ours=False
    )
    with pytest.warns(BackendFailedWarning), pytest.raises(KeyError, match="second") as raised:
        attention(*INPUTS)
    assert raised.value.__notes__ == ["before it, attention backend 'broken' raised RuntimeError: first"]


def test_what_has_failed_is_not_tried_again_for_calls_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Raising("broken", RuntimeError("no kernel image"))
    install(monkeypatch, broken)
    with pytest.warns(BackendFailedWarning):
        attention(*INPUTS)
    longer = [torch.cat((tensor, tensor), dim=2) for tensor in INPUTS]
    attention(*longer)  # a warning would be an error
    selection = last_selection()
    assert selection is not None
    assert selection.not_used["broken"] == "it failed before with RuntimeError: no kernel image"
    assert selection.failed == {}
    for other in ([tensor.double() for tensor in INPUTS], [tensor[..., :4] for tensor in INPUTS]):
        with pytest.warns(BackendFailedWarning):
            attention(*other)
    with pytest.warns(BackendFailedWarning):
        attention(*INPUTS, is_causal=True)
    with pytest.raises(RuntimeError, match="no kernel image"):
        attention(*INPUTS, backend="broken")


def test_where_all_have_failed_they_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Raising("broken", RuntimeError("first")), Raising("worse", KeyError("second"))
    install(monkeypatch, *both)
    with pytest.warns(BackendFailedWarning):
        attention(*INPUTS)
    install(monkeypatch, *both, with_ours=False)
    with pytest.warns(BackendFailedWarning, match="broken"), pytest.raises(KeyError, match="second"):
        attention(*INPUTS)


def test_running_out_of_memory_is_not_an_answer_to_fall_back_from(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Raising("large", torch.OutOfMemoryError("no room")))
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        attention(*INPUTS)


def test_the_last_selection_is_one_of_the_thread() -> None:
    attention(*INPUTS, backend="eager")
    elsewhere: list[object] = []
    thread = threading.Thread(target=lambda: elsewhere.append(last_selection()))
    thread.start()
    thread.join()
    assert elsewhere == [None]
    selection = last_selection()
    assert selection is not None
    assert (selection.name, selection.not_used["sdpa"], selection.failed) == ("eager", "eager was requested", {})


@pytest.mark.slow
def test_attention_is_compiled_without_a_break() -> None:
    compiled = torch.compile(attention, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(*INPUTS, is_causal=True), attention(*INPUTS, is_causal=True))
