import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields

import pytest
import torch
from torch import Tensor, nn

from astrobio import ModelCard, create_model, list_models, model_card, register_model, registry
from astrobio.registry import name_of_model, registered_model


@pytest.fixture
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    list_models()  # so that the real models are not registered into the empty one
    monkeypatch.setattr(registry, "_REGISTRY", {})
    return


@dataclass(frozen=True)
class LineConfig:
    slope: float = 2.0


CARD = ModelCard(task="t", inputs={}, outputs={}, units={}, license="Apache-2.0", limits=())


def no_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {}


def no_loss(output: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    return output


class Line(nn.Module):
    def __init__(self, config: LineConfig) -> None:
        super().__init__()
        self.config = config


def test_the_models_are_listed_in_order() -> None:
    assert list(list_models()) == sorted(list_models())
    assert {"climate_surrogate_small", "metabolic_graph_vae_base", "metabolic_graph_vae_small"} <= set(list_models())


def test_a_registered_class_is_built_with_its_settings(empty_registry: None) -> None:
    register_model("line", config=LineConfig(slope=3.0), card=CARD, sample_inputs=no_inputs, loss=no_loss)(Line)
    assert list_models() == ("line",)
    assert create_model("line").config.slope == 3.0
    assert create_model("line", slope=5.0).config.slope == 5.0
    assert model_card("line") is CARD


def test_a_name_is_taken_only_once(empty_registry: None) -> None:
    register_model("line", config=LineConfig(), card=CARD, sample_inputs=no_inputs, loss=no_loss)(Line)
    with pytest.raises(ValueError, match=r"a model named 'line' is already registered: .*:Line"):
        register_model("line", config=LineConfig(), card=CARD, sample_inputs=no_inputs, loss=no_loss)


@pytest.mark.parametrize("config", [LineConfig, {"slope": 1.0}])
def test_a_configuration_that_is_no_dataclass_instance_is_a_type_error(config: object) -> None:
    with pytest.raises(TypeError, match="config must be a dataclass instance"):
        register_model("other", config=config, card=CARD, sample_inputs=no_inputs, loss=no_loss)


@pytest.mark.parametrize("ask", [create_model, model_card])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(ask: object) -> None:
    with pytest.raises(ValueError, match=r"unknown model 'climate'; choose from: .*, climate_surrogate_small, "):
        ask("climate")


def test_an_unknown_setting_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"climate_surrogate_small has no setting depth; it has: embed_dim, num_layers"
    ):
        create_model("climate_surrogate_small", depth=3)


def test_a_setting_out_of_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_layers must be at least 1"):
        create_model("climate_surrogate_small", num_layers=0)


@pytest.mark.parametrize("name", list_models())
def test_every_field_of_a_model_card_is_filled_in(name: str) -> None:
    card = model_card(name)
    of_some_models = {"columns", "ranges", "free_dims"}
    assert all(getattr(card, field.name) for field in fields(card) if field.name not in of_some_models)


def test_the_card_names_every_argument_of_forward() -> None:
    inputs = registry.registered_model("climate_surrogate_small").sample_inputs(2, torch.Generator())
    assert set(model_card("climate_surrogate_small").inputs) == set(inputs)


def test_importing_the_package_loads_neither_torch_nor_a_model() -> None:
    code = "import sys, astrobio; print(sorted({'torch', 'astrobio.models'} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_a_model_is_found_by_its_class() -> None:
    assert name_of_model(create_model("climate_surrogate_small", num_layers=1)) == "climate_surrogate_small"
    with pytest.raises(ValueError, match=r"torch\.nn\.modules\.linear:Linear is not a registered model"):
        name_of_model(torch.nn.Linear(1, 1))


@pytest.mark.parametrize("name", list_models())
def test_what_a_card_says_of_columns_ranges_and_sizes_fits_its_inputs(name: str) -> None:
    entry = registered_model(name)
    inputs = entry.sample_inputs(2, torch.Generator().manual_seed(0))
    assert set(entry.card.columns) <= set(inputs)
    assert set(entry.card.free_dims) <= set(inputs)
    for each, columns in entry.card.columns.items():
        assert inputs[each].shape[-1] == len(columns)
    columns = {column for columns in entry.card.columns.values() for column in columns}
    assert set(entry.card.ranges) <= set(inputs) | columns
    assert all(low < high for low, high in entry.card.ranges.values())
