import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from astrobio import create_model, model_card
from astrobio.data.metabolic_networks import generate_networks
from astrobio.data.network_batches import batch_with_hidden_edges
from astrobio.models.metabolic_graph_vae import (
    GraphVAEOutput,
    MetabolicGraphVAE,
    MetabolicGraphVAEConfig,
    graph_vae_loss,
    reconstruction_loss,
    require_nodes,
    sample_inputs,
)

NETWORKS = generate_networks(4, seed=9)


@pytest.fixture
def model() -> MetabolicGraphVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MetabolicGraphVAE(MetabolicGraphVAEConfig(hidden_dim=16, latent_dim=6, num_layers=2)).double().eval()


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    batch = batch_with_hidden_edges(NETWORKS, torch.Generator().manual_seed(1)).inputs()
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in batch.items()}


def test_shapes(model: MetabolicGraphVAE, inputs: dict[str, Tensor]) -> None:
    output = model(**inputs)
    assert output.pair_logits.shape == inputs["pairs"].shape[:2]
    assert output.mean.shape == output.log_variance.shape == (*inputs["compositions"].shape[:2], 6)


def test_a_network_is_judged_as_if_it_were_alone(model: MetabolicGraphVAE, inputs: dict[str, Tensor]) -> None:
    whole = model(**inputs)
    for row, network in enumerate(NETWORKS):
        num_edges = int(inputs["edge_mask"][row].sum())
        alone = model(
            compositions=inputs["compositions"][row : row + 1, : len(network)],
            node_mask=inputs["node_mask"][row : row + 1, : len(network)],
            edges=inputs["edges"][row : row + 1, :num_edges],
            edge_mask=inputs["edge_mask"][row : row + 1, :num_edges],
            pairs=inputs["pairs"][row : row + 1],
        )
        torch.testing.assert_close(alone.mean[0], whole.mean[row, : len(network)], rtol=1e-10, atol=1e-12)
        # Padded pairs join compound 0 with itself and are judged as such, alone or not.
        torch.testing.assert_close(alone.pair_logits[0], whole.pair_logits[row], rtol=1e-10, atol=1e-12)


def test_what_stands_in_the_padding_does_not_matter(model: MetabolicGraphVAE, inputs: dict[str, Tensor]) -> None:
    before = model(**inputs)
    changed = {name: tensor.clone() for name, tensor in inputs.items()}
    changed["compositions"][~inputs["node_mask"]] = 7.0
    changed["edges"][~inputs["edge_mask"]] = 3
    after = model(**changed)
    torch.testing.assert_close(after.pair_logits, before.pair_logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.mean, before.mean, rtol=0, atol=1e-12)


def test_neither_the_order_of_compounds_nor_of_pairs_nor_of_edges_matters(
    model: MetabolicGraphVAE, inputs: dict[str, Tensor]
) -> None:
    before = model(**inputs)
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(inputs["node_mask"].shape[1], generator=generator)
    place = order.argsort()
    edge_order = torch.randperm(inputs["edges"].shape[1], generator=generator)
    after = model(
        compositions=inputs["compositions"][:, order],
        node_mask=inputs["node_mask"][:, order],
        edges=place[inputs["edges"]].flip(-1)[:, edge_order],
        edge_mask=inputs["edge_mask"][:, edge_order],
        pairs=place[inputs["pairs"]].flip(-1),
    )
    torch.testing.assert_close(after.pair_logits, before.pair_logits, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(after.mean, before.mean[:, order], rtol=1e-10, atol=1e-12)


def test_given_edges_matter(model: MetabolicGraphVAE, inputs: dict[str, Tensor]) -> None:
    fewer = {**inputs, "edge_mask": inputs["edge_mask"].clone()}
    fewer["edge_mask"][:, 0] = False
    assert (model(**fewer).pair_logits - model(**inputs).pair_logits).abs().max() > 1e-6


def test_training_draws_latent_vectors_and_evaluation_does_not(
    model: MetabolicGraphVAE, inputs: dict[str, Tensor]
) -> None:
    assert torch.equal(model(**inputs).pair_logits, model(**inputs).pair_logits)
    model.train()
    assert not torch.equal(model(**inputs).pair_logits, model(**inputs).pair_logits)


def test_a_network_without_edges_is_judged(model: MetabolicGraphVAE, inputs: dict[str, Tensor]) -> None:
    none = {**inputs, "edges": inputs["edges"][:, :0], "edge_mask": inputs["edge_mask"][:, :0]}
    assert model(**none).pair_logits.isfinite().all()


def test_the_loss_against_its_formula() -> None:
    """Two pairs, one of them padding, and two compounds, one of them padding."""
    output = GraphVAEOutput(
        pair_logits=torch.tensor([[0.3, 50.0]]),
        mean=torch.tensor([[[1.0, 2.0], [9.0, 9.0]]]),
        log_variance=torch.tensor([[[0.0, 0.5], [9.0, 9.0]]]),
    )
    first = torch.tensor([[True, False]])
    loss = graph_vae_loss(output, first, first, first, kl_weight=0.1)
    posterior = torch.distributions.Normal(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.5]).mul(0.5).exp())
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
    expected = -torch.tensor(0.3).sigmoid().log() + 0.1 * divergence
    torch.testing.assert_close(loss, expected)


def test_the_registered_loss_asks_for_the_given_edges(model: MetabolicGraphVAE) -> None:
    inputs = sample_inputs(3, torch.Generator().manual_seed(0))
    right = (inputs["pairs"][:, :, None] == inputs["edges"][:, None]).all(-1) & inputs["edge_mask"][:, None]
    zero = torch.zeros(*inputs["node_mask"].shape, 1)
    sure = GraphVAEOutput(torch.where(right.any(-1), 30.0, -30.0), zero, zero)
    assert reconstruction_loss(sure, inputs) < 1e-6
    assert reconstruction_loss(sure._replace(pair_logits=-sure.pair_logits), inputs) > 10.0


@pytest.mark.parametrize(
    ("name", "change", "kind", "message"),
    [
        ("compositions", lambda tensor: tensor.long(), TypeError, "compositions must be floating point"),
        ("node_mask", lambda tensor: tensor.long(), TypeError, "node_mask must be bool"),
        ("edges", lambda tensor: tensor.int(), TypeError, "edges must be int64"),
        ("pairs", lambda tensor: tensor[:2], ValueError, r"pairs must be \(B, number, 2\) with B = 4"),
        ("edge_mask", lambda tensor: tensor[:, 1:], ValueError, "masks must be"),
        ("compositions", lambda tensor: tensor[..., :5], ValueError, r"compositions must be \(B, N, 6\)"),
    ],
)
def test_wrong_inputs_are_named(
    model: MetabolicGraphVAE, inputs: dict[str, Tensor], name: str, change: object, kind: type[Exception], message: str
) -> None:
    assert callable(change)
    with pytest.raises(kind, match=message):
        model(**{**inputs, name: change(inputs[name])})


def test_an_index_of_no_node_is_named(model: MetabolicGraphVAE, inputs: dict[str, Tensor]) -> None:
    num_nodes = inputs["node_mask"].shape[1]
    for name, index in (("edges", num_nodes), ("pairs", -1)):
        wrong = inputs[name].clone()
        wrong[0, 0, 1] = index
        with pytest.raises(ValueError, match=f"{name} must name nodes 0 to {num_nodes - 1}, got .*{index}"):
            model(**{**inputs, name: wrong})


def test_indices_on_a_device_are_not_waited_for() -> None:
    with FakeTensorMode():  # whose numbers cannot be read
        require_nodes("edges", torch.full((2, 3, 2), 9, device="cuda"), num_nodes=1)


@pytest.mark.parametrize("setting", [{"hidden_dim": 0}, {"latent_dim": -1}, {"num_layers": 0}, {"kl_weight": -1.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be"):
        MetabolicGraphVAEConfig(**setting)  # type: ignore[arg-type]


def test_it_is_registered_with_a_card() -> None:
    small, base = create_model("metabolic_graph_vae_small"), create_model("metabolic_graph_vae_base")
    assert sum(weight.numel() for weight in small.parameters()) < sum(weight.numel() for weight in base.parameters())
    assert set(model_card("metabolic_graph_vae_base").inputs) == set(sample_inputs(1, torch.Generator()))
