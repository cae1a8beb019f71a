"""Circumstances hold for one call, and views keep their numbers."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from audit.probe import circumstances, unread

NUMBERS = torch.arange(24.0).view(2, 3, 4)


@pytest.mark.parametrize("layout", ["transposed", "sliced", "stepped"])
@pytest.mark.parametrize("tensor", [NUMBERS, NUMBERS[:, :, 0] > 5])
def test_a_view_holds_the_same_numbers_at_other_places(layout: str, tensor: Tensor) -> None:
    view = circumstances.arranged(tensor, layout)
    assert torch.equal(view, tensor)
    assert view.stride() != tensor.stride() or view.storage_offset() != tensor.storage_offset()


def test_an_expanded_view_has_the_first_sample_for_every_one() -> None:
    view = circumstances.arranged(NUMBERS, "expanded")
    assert torch.equal(view, NUMBERS[[0, 0]])
    assert view.stride()[0] == 0


class Named(nn.Module):
    """Dropout whose rate is called otherwise than is usual, and a norm that is no rate."""

    def __init__(self) -> None:
        super().__init__()
        self.p, self.keep, self.share = 0.0, 0.25, 0.5

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(x, self.p, training=self.training)
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=self.keep) * self.share


def test_rates_are_found_by_what_they_are_handed_to() -> None:
    module = Named()
    assert circumstances.rates_of(module) == {"p", "keep"}
    with circumstances.of_call(module, {"dropout": 0.75}):
        assert (module.p, module.keep, module.share) == (0.75, 0.75, 0.5)
    assert (module.p, module.keep, module.share) == (0.0, 0.25, 0.5)


def test_only_trainable_parameters_that_are_zero_are_given_numbers() -> None:
    module = nn.Linear(3, 2)
    nn.init.zeros_(module.bias)
    module.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    module.matrix = nn.Parameter(torch.zeros(4, 5))
    weight = module.weight.clone()
    circumstances.open_gates(module, 0)
    assert torch.equal(module.weight, weight)
    assert not module.frozen.any()
    assert ((module.bias.abs() >= 0.5) & (module.bias.abs() <= 1)).all()
    assert module.matrix.any()


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop, self.dropout, self.attn_dropout, self.drop_last = nn.Dropout(0.1), 0.0, 0, True


def test_dropout_and_mode_are_set_for_the_call_only() -> None:
    module = Dropping().eval()
    with circumstances.of_call(module, {"dropout": 0.5, "training": True}):
        assert (module.drop.p, module.dropout, module.attn_dropout, module.drop_last) == (0.5, 0.5, 0.5, True)
        assert module.drop.training
    assert (module.drop.p, module.dropout, module.attn_dropout, module.drop_last) == (0.1, 0.0, 0, True)
    assert not module.drop.training


def test_dropout_is_set_back_where_the_call_raises() -> None:
    module = Dropping().eval()
    with pytest.raises(ZeroDivisionError), circumstances.of_call(module, {"dropout": 0.5, "training": True}):
        raise ZeroDivisionError
    assert (module.drop.p, module.drop.training) == (0.1, False)


def test_layers_are_named_with_those_that_they_are_derived_from() -> None:
    names = circumstances.layers(nn.Sequential(nn.Conv1d(1, 1, 1), Dropping()))
    assert {"Conv1d", "_ConvNd", "Dropout", "Sequential"} <= set(names)
    assert "Dropping" not in names


class Reading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.elsewhere, self.never = (nn.Linear(2, 2) for _ in range(3))
        self.alone = nn.Parameter(torch.ones(2))
        nn.init.ones_(self.never.weight)

    def forward(self, x: Tensor, other: bool = False) -> Tensor:
        return self.elsewhere(x) if other else self.used(x.detach()) * self.used.bias.detach()


def test_what_no_method_reads_is_told_from_what_another_call_uses() -> None:
    names = [name for name, _ in Reading().named_parameters()]
    assert unread.among(names, Reading()) == ["alone", "never.bias", "never.weight"]


def test_what_the_output_depends_on_moves_it_and_keeps_its_numbers() -> None:
    module = Reading()
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    found = unread.moving(before, module, lambda: module(torch.ones(1, 2)))
    assert found == ["used.bias", "used.weight"]
    assert all(torch.equal(parameter, before[name]) for name, parameter in module.named_parameters())


class PuttingAway(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.put_away, self.in_a_loop, self.shared, self.kept = (nn.Parameter(torch.ones(2)) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        away = self.put_away  # noqa: F841
        for _ in range(2):
            again = self.in_a_loop * 2  # noqa: F841
        kept = self.kept
        return x.detach() * kept.detach()

    def other(self) -> None:
        held = None

        def inner() -> None:
            nonlocal held
            held = self.shared

        inner()


def test_what_is_put_into_a_name_that_nothing_reads_is_not_read() -> None:
    names = [name for name, _ in PuttingAway().named_parameters()]
    assert unread.among(names, PuttingAway()) == ["in_a_loop", "put_away"]


@dataclasses.dataclass(frozen=True)
class Settings:
    dropout_p: float = 0.2
    head_dim: int = 8


def test_dropout_in_the_settings_that_a_module_holds_is_set_too() -> None:
    module = nn.Linear(2, 2)
    settings = Settings()
    module.config = settings  # type: ignore[assignment]
    module.inner = nn.Linear(2, 2)
    module.inner.config = settings  # type: ignore[assignment]
    with circumstances.of_call(module, {"dropout": 0.0}):
        assert settings == Settings(dropout_p=0.0)
    assert settings == Settings()
