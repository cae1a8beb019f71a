import pytest
import torch
from torch import Tensor

from astrobio import create_model, model_card
from astrobio.models.habitability_fusion import (
    HabitabilityFusion,
    HabitabilityFusionConfig,
    entropy_loss,
    sample_inputs,
)


@pytest.fixture
def model() -> HabitabilityFusion:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HabitabilityFusion(HabitabilityFusionConfig(embed_dim=16, num_heads=2)).double().eval()


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    found = sample_inputs(4, torch.Generator().manual_seed(0))
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in found.items()}


def test_one_logit_for_each_planet(model: HabitabilityFusion, inputs: dict[str, Tensor]) -> None:
    assert model(**inputs).shape == (4,)


def test_a_planet_is_judged_as_if_it_were_alone(model: HabitabilityFusion, inputs: dict[str, Tensor]) -> None:
    whole = model(**inputs)
    for row in range(4):
        alone = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
        num_nodes, num_edges = int(alone["node_mask"].sum()), int(alone["edge_mask"].sum())
        for name, size in (("compositions", num_nodes), ("node_mask", num_nodes)):
            alone[name] = alone[name][:, :size]
        for name in ("edges", "edge_mask"):
            alone[name] = alone[name][:, :num_edges]
        torch.testing.assert_close(model(**alone)[0], whole[row], rtol=1e-10, atol=1e-12)


def test_what_stands_in_the_padding_does_not_matter(model: HabitabilityFusion, inputs: dict[str, Tensor]) -> None:
    changed = {name: tensor.clone() for name, tensor in inputs.items()}
    assert (~inputs["node_mask"]).any()  # or there is nothing to see
    changed["compositions"][~inputs["node_mask"]] = 5.0
    changed["edges"][~inputs["edge_mask"]] = 2
    torch.testing.assert_close(model(**changed), model(**inputs), rtol=0, atol=1e-12)


def test_the_order_of_compounds_does_not_matter(model: HabitabilityFusion, inputs: dict[str, Tensor]) -> None:
    order = torch.randperm(inputs["node_mask"].shape[1], generator=torch.Generator().manual_seed(1))
    changed = {**inputs, "edges": order.argsort()[inputs["edges"]]}
    for name in ("compositions", "node_mask"):
        changed[name] = inputs[name][:, order]
    torch.testing.assert_close(model(**changed), model(**inputs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["temperature_k", "depth", "noise", "properties", "compositions"])
def test_every_kind_of_data_reaches_the_answer(model: HabitabilityFusion, inputs: dict[str, Tensor], name: str) -> None:
    changed = {**inputs, name: inputs[name] * 1.1}
    assert (model(**changed) - model(**inputs)).abs().min() > 1e-9


def test_edges_and_the_order_of_latitudes_reach_the_answer(
    model: HabitabilityFusion, inputs: dict[str, Tensor]
) -> None:
    no_edges = {**inputs, "edge_mask": torch.zeros_like(inputs["edge_mask"])}
    mirrored = {**inputs, "temperature_k": inputs["temperature_k"].roll(5, dims=2)}
    for changed in (no_edges, mirrored):
        assert (model(**changed) - model(**inputs)).abs().max() > 1e-9


def test_the_entropy_of_even_odds_and_of_certainty() -> None:
    assert float(entropy_loss(torch.zeros(3), {})) == pytest.approx(0.693147, abs=1e-6)
    assert float(entropy_loss(torch.tensor([60.0, -60.0]), {})) == pytest.approx(0.0, abs=1e-6)
    share = torch.tensor(1.2).sigmoid()
    expected = -(share * share.log() + (1 - share) * (1 - share).log())
    assert float(entropy_loss(torch.tensor([1.2]), {})) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "kind", "message"),
    [
        ("temperature_k", lambda tensor: tensor[:, 1:], ValueError, r"temperature_k must be \(4, 48, 24\)"),
        ("depth", lambda tensor: tensor.long(), TypeError, "depth must be floating point"),
        ("noise", lambda tensor: tensor[:2], ValueError, r"noise must be \(4, 1\)"),
        ("node_mask", lambda tensor: tensor.long(), TypeError, "node_mask must be bool"),
        ("edge_mask", lambda tensor: tensor[:, 1:], ValueError, "edge_mask must be"),
        ("edges", lambda tensor: tensor.int(), ValueError, r"edges must be \(B, E, 2\) int64"),
    ],
)
def test_wrong_inputs_are_named(
    model: HabitabilityFusion,
    inputs: dict[str, Tensor],
    name: str,
    change: object,
    kind: type[Exception],
    message: str,
) -> None:
    assert callable(change)
    with pytest.raises(kind, match=message):
        model(**{**inputs, name: change(inputs[name])})


@pytest.mark.parametrize("setting", [{"num_queries": 0}, {"num_layers": 0}, {"patch_size": 9}, {"num_heads": 5}])
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be at least 1|must divide|is not a multiple"):
        HabitabilityFusionConfig(**setting)


def test_it_is_registered_with_a_card() -> None:
    small, base = create_model("habitability_fusion_small"), create_model("habitability_fusion_base")
    assert sum(weight.numel() for weight in small.parameters()) < 100_000
    assert sum(weight.numel() for weight in base.parameters()) > 200_000
    assert set(model_card("habitability_fusion_small").inputs) == set(sample_inputs(1, torch.Generator()))
