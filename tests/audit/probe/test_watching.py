"""What a call hides is seen; what leaves it, or is part of the language, is not."""

import logging
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from audit.probe.watching import home_of, watched

HERE = home_of(f"{__name__}:anything")
LOGGER = logging.getLogger(__name__)


def _seen(call: Callable[[], object]) -> list[dict[str, object]]:
    before = sys.gettrace()
    with watched(__file__) as seen:
        call()
    assert sys.gettrace() is before
    return seen


def _fails() -> torch.Tensor:
    return torch.ones(2) + torch.ones(3)


def _hides() -> None:
    try:
        _fails()
    except RuntimeError:
        LOGGER.debug("hidden")


def _replaces() -> None:
    try:
        try:
            _fails()
        except RuntimeError as error:
            raise ValueError("shapes") from error
    except ValueError:
        LOGGER.debug("hidden")


def test_an_exception_that_is_handled_is_seen_once_and_where() -> None:
    (event,) = _seen(_hides)
    assert (event["kind"], event["type"]) == ("handled", "RuntimeError")
    assert event["line"] == _fails.__code__.co_firstlineno + 1
    assert event["handler"] == _hides.__code__.co_firstlineno + 2
    assert "size of tensor" in str(event["what"])


def test_of_an_exception_that_replaces_another_the_last_is_told() -> None:
    assert [event["type"] for event in _seen(_replaces)] == ["ValueError"]


def test_the_end_of_an_iteration_is_no_event() -> None:
    assert _seen(lambda: list(iter([1]))) == []
    assert _seen(lambda: next(iter([]), None)) == []
    module = nn.Linear(1, 1)
    assert _seen(lambda: hasattr(module, "absent")) == []


def test_an_error_that_is_logged_is_seen_and_a_warning_is_not() -> None:
    (event,) = _seen(lambda: (LOGGER.error("it %s", "broke"), LOGGER.warning("it may break")))
    assert (event["kind"], event["what"]) == ("logged", "it broke")


def test_a_parameter_that_is_made_is_seen() -> None:
    (weight, bias) = _seen(lambda: nn.Linear(2, 3))
    assert (weight["kind"], weight["what"]) == ("parameter", "Linear.weight of shape (3, 2)")
    assert bias["what"] == "Linear.bias of shape (3,)"


def test_nothing_is_watched_without_a_home_and_all_is_as_before() -> None:
    register = nn.Module.register_parameter
    with watched(None) as seen:
        _hides()
    assert seen == []
    with pytest.raises(RuntimeError), watched(__file__):
        _fails()
    assert nn.Module.register_parameter is register
    assert not any(type(each).__module__ == "audit.probe.watching" for each in logging.getLogger().handlers)
