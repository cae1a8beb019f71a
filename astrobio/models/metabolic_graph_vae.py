"""A variational graph autoencoder that predicts which compounds of a metabolic network a reaction joins.

The encoder passes messages along the given edges and gives every compound a Gaussian in a latent space; the decoder
judges pairs of compounds by their latent vectors. Batches hold networks of different sizes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrobio.data.artificial_chemistry import ELEMENTS
from astrobio.data.metabolic_networks import generate_networks
from astrobio.data.network_batches import batch_with_given_edges
from astrobio.registry import ModelCard, register_model

# Typical counts of C, H, N, O, P, S in a compound of these networks: inputs are of order 1.
TYPICAL_COUNTS = (5.0, 8.0, 1.0, 4.0, 1.0, 1.0)


@dataclass(frozen=True)
class MetabolicGraphVAEConfig:
    """Settings of `MetabolicGraphVAE`.

    Attributes:
        hidden_dim: size of a compound's state.
        latent_dim: size of a compound's latent vector.
        num_layers: rounds of message passing.
        kl_weight: weight of the Kullback-Leibler term in the loss (Higgins et al. 2017 call it beta).

    Raises:
        ValueError: a setting is out of range.
    """

    hidden_dim: int = 64
    latent_dim: int = 32
    num_layers: int = 3
    kl_weight: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings that describe no model."""
        for name in ("hidden_dim", "latent_dim", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.kl_weight < float("inf"):
            raise ValueError(f"kl_weight must be finite and not negative, got {self.kl_weight}")


class GraphVAEOutput(NamedTuple):
    """What the model says of a batch of networks.

    Attributes:
        pair_logits: (B, P), log odds that a reaction joins the two compounds of a pair.
        mean: (B, N, latent_dim), mean of each compound's latent vector; zero for padding.
        log_variance: (B, N, latent_dim), logarithm of its variance; zero for padding.
    """

    pair_logits: Tensor
    mean: Tensor
    log_variance: Tensor


class MessagePassing(nn.Module):
    """One round: each compound's state is updated by its neighbours' messages and by what all messages say together.

    A message depends on both ends of its edge (Gilmer et al. 2017). Messages are averaged, and the logarithm of their
    number is given beside the average, since an average cannot tell one neighbour from many (Corso et al. 2020). The
    average over the whole network, their "master node", tells every compound which reactions this network has.
    """

    def __init__(self, hidden_dim: int) -> None:
        """Build one round."""
        super().__init__()
        self.norm = nn.LayerNorm(hidden_dim)
        self.message = nn.Sequential(
            nn.Linear(2 * hidden_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, hidden_dim)
        )
        self.update = nn.Sequential(
            nn.Linear(3 * hidden_dim + 1, 2 * hidden_dim), nn.GELU(), nn.Linear(2 * hidden_dim, hidden_dim)
        )

    def forward(self, states: Tensor, edges: Tensor, edge_mask: Tensor) -> Tensor:
        """(B, N, hidden_dim) to the same shape; `edges` (B, E, 2) and `edge_mask` (B, E) as in `NetworkBatch`."""
        normed = self.norm(states)
        weight = edge_mask.to(states.dtype)[..., None]
        ends = [edges[..., side, None].expand(-1, -1, states.shape[-1]) for side in (0, 1)]  # (B, E, hidden_dim)
        received, degree = torch.zeros_like(normed), torch.zeros_like(normed[..., :1])
        total = torch.zeros_like(normed[:, :1])
        for source, target in (ends, ends[::-1]):
            message = self.message(torch.cat((normed.gather(1, source), normed.gather(1, target)), dim=-1)) * weight
            received = received.scatter_add(1, target, message)
            degree = degree.scatter_add(1, target[..., :1], weight)
            total = total + message.sum(dim=1, keepdim=True)
        mean = received / degree.clamp_min(1.0)
        overall = (total / (2.0 * weight.sum(dim=1, keepdim=True)).clamp_min(1.0)).expand_as(mean)
        output: Tensor = states + self.update(torch.cat((normed, mean, overall, degree.log1p()), dim=-1))
        return output


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `MetabolicGraphVAE.forward` for random networks, all edges given and asked for."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return batch_with_given_edges(generate_networks(batch_size, seed), generator).inputs()


def reconstruction_loss(output: GraphVAEOutput, inputs: dict[str, Tensor]) -> Tensor:
    """`graph_vae_loss` of a batch in which the pairs to be found are the edges that are given."""
    pairs, edges = inputs["pairs"], inputs["edges"]
    same = (pairs[:, :, None] == edges[:, None]).all(dim=-1) & inputs["edge_mask"][:, None]
    pair_mask = pairs[..., 0] != pairs[..., 1]  # padding joins the first compound with itself
    return graph_vae_loss(
        output, same.any(dim=-1), pair_mask, inputs["node_mask"], kl_weight=MetabolicGraphVAEConfig.kl_weight
    )


def graph_vae_loss(
    output: GraphVAEOutput, is_edge: Tensor, pair_mask: Tensor, node_mask: Tensor, *, kl_weight: float
) -> Tensor:
    """Cross entropy of the pairs plus `kl_weight` times the mean divergence of a compound from a standard Gaussian.

    Up to the weighting this is the negative evidence lower bound of Kipf & Welling 2016, equation 3.

    Args:
        output: what the model says.
        is_edge: (B, P) bool, which pairs are joined by a reaction.
        pair_mask: (B, P) bool, which pairs count.
        node_mask: (B, N) bool, which nodes are compounds.
        kl_weight: weight of the divergence, summed over latent dimensions.

    Returns:
        A scalar in nat per pair.
    """
    wrong = F.binary_cross_entropy_with_logits(
        output.pair_logits, is_edge.to(output.pair_logits.dtype), reduction="none"
    )
    divergence = 0.5 * (output.mean.square() + output.log_variance.exp() - 1.0 - output.log_variance).sum(dim=-1)
    return (wrong * pair_mask).sum() / pair_mask.sum() + kl_weight * (divergence * node_mask).sum() / node_mask.sum()


_CARD = ModelCard(
    task="Which compounds of a metabolic network are joined by a reaction, from their compositions and known reactions",
    inputs={
        "compositions": f"(B, N compounds, {len(ELEMENTS)}), atoms of {', '.join(ELEMENTS)} in each; 0 for padding",
        "node_mask": "(B, N) bool, True for a compound, False for padding",
        "edges": "(B, E, 2) int64, pairs of compounds known to be joined; 0 for padding",
        "edge_mask": "(B, E) bool, True for a known edge, False for padding",
        "pairs": "(B, P, 2) int64, pairs of compounds to be judged",
    },
    outputs={
        "pair_logits": "(B, P), log odds that a reaction joins the pair",
        "mean": "(B, N, latent_dim), mean of each compound's latent vector; 0 for padding",
        "log_variance": "(B, N, latent_dim), logarithm of its variance; 0 for padding",
    },
    units={**dict.fromkeys(ELEMENTS, "atoms per molecule"), "pair_logits": "nat", "mean": "1", "log_variance": "1"},
    license="Apache-2.0",
    limits=(
        "It learned from generated networks of at most 48 compounds with nine classes of reactions; of a network of "
        "other chemistry it predicts what it would be in that one.",
        "Isomers are one compound, directions and rates of reactions are left out.",
        "Absent pairs are drawn at random, and most of them differ by what no single reaction changes: telling those "
        "apart is easier than finding missing enzymes.",
    ),
    references=(
        "Kipf & Welling 2016, Variational graph auto-encoders",
        "Hamilton, Ying & Leskovec 2017, Inductive representation learning on large graphs",
        "Handorf, Ebenhoeh & Heinrich 2005, Expanding metabolic networks, Journal of Molecular Evolution 61",
    ),
    columns={"compositions": ELEMENTS},
    free_dims={"compositions": (1,), "node_mask": (1,), "edges": (1,), "edge_mask": (1,), "pairs": (1,)},
)


@register_model(
    "metabolic_graph_vae_base",
    config=MetabolicGraphVAEConfig(hidden_dim=128, latent_dim=64, num_layers=4),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=reconstruction_loss,
)
@register_model(
    "metabolic_graph_vae_small",
    config=MetabolicGraphVAEConfig(),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=reconstruction_loss,
)
class MetabolicGraphVAE(nn.Module):
    """Variational graph autoencoder (Kipf & Welling 2016) with a symmetric network as its decoder.

    In training the decoder sees a random draw of the latent vectors, in evaluation their means.
    """

    typical_counts: Tensor

    def __init__(self, config: MetabolicGraphVAEConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        self.register_buffer("typical_counts", torch.tensor(TYPICAL_COUNTS))
        self.embed = nn.Sequential(
            nn.Linear(len(ELEMENTS), config.hidden_dim), nn.GELU(), nn.Linear(config.hidden_dim, config.hidden_dim)
        )
        self.rounds = nn.ModuleList(MessagePassing(config.hidden_dim) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.hidden_dim)
        self.to_mean = nn.Linear(config.hidden_dim, config.latent_dim)
        self.to_log_variance = nn.Linear(config.hidden_dim, config.latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(2 * config.latent_dim, config.hidden_dim),
            nn.GELU(),
            nn.Linear(config.hidden_dim, config.hidden_dim),
            nn.GELU(),
            nn.Linear(config.hidden_dim, 1),
        )

    def forward(
        self, compositions: Tensor, node_mask: Tensor, edges: Tensor, edge_mask: Tensor, pairs: Tensor
    ) -> GraphVAEOutput:
        """Judge pairs of compounds.

        Args:
            compositions: (B, N, 6), atoms of each of `ELEMENTS`, floating point.
            node_mask: (B, N) bool, True for a compound.
            edges: (B, E, 2) int64, pairs of nodes that are joined, each once in either order.
            edge_mask: (B, E) bool, True for an edge.
            pairs: (B, P, 2) int64, pairs of nodes to be judged; their order within a pair does not matter.

        Raises:
            TypeError: compositions are not floating point, masks not bool, or indices not int64.
            ValueError: shapes do not fit together.
        """
        _check_inputs(compositions, node_mask, edges, edge_mask, pairs)
        mean, log_variance = self.encode(compositions, node_mask, edges, edge_mask)
        latent = mean
        if self.training:
            latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return GraphVAEOutput(self.decode(latent, pairs), mean, log_variance)

    def encode(
        self, compositions: Tensor, node_mask: Tensor, edges: Tensor, edge_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(mean, logarithm of the variance) of each compound's latent vector, (B, N, latent_dim), zero for padding."""
        states = self.embed(compositions.to(self.typical_counts.dtype) / self.typical_counts)
        for each in self.rounds:
            states = each(states, edges, edge_mask)
        states = self.norm(states)
        kept = node_mask[..., None]
        # Bounded, so that no step of training can make the exponential of it overflow.
        log_variance = 8.0 * torch.tanh(self.to_log_variance(states) / 8.0)
        mean = self.to_mean(states).masked_fill(~kept, 0.0)  # no mutant: nothing looks at padding, but for its readers
        return mean, log_variance.masked_fill(~kept, 0.0)  # no mutant: likewise

    def decode(self, latent: Tensor, pairs: Tensor) -> Tensor:
        """Log odds (B, P) that the pairs (B, P, 2) of nodes with latent vectors (B, N, latent_dim) are joined."""
        first, second = (
            latent.gather(1, pairs[..., side : side + 1].expand(-1, -1, latent.shape[-1])) for side in (0, 1)
        )
        total, difference = first + second, first - second
        # The same network for both orders of a pair, so that the order does not matter.
        both = self.decoder(torch.cat((total, difference), dim=-1)) + self.decoder(
            torch.cat((total, -difference), dim=-1)
        )
        logits: Tensor = both.squeeze(-1)
        return logits


def _check_inputs(compositions: Tensor, node_mask: Tensor, edges: Tensor, edge_mask: Tensor, pairs: Tensor) -> None:
    if not compositions.is_floating_point():
        raise TypeError(f"compositions must be floating point, got {compositions.dtype}")
    for name, mask in (("node_mask", node_mask), ("edge_mask", edge_mask)):
        if mask.dtype != torch.bool:
            raise TypeError(f"{name} must be bool, got {mask.dtype}")
    for name, indices in (("edges", edges), ("pairs", pairs)):
        if indices.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {indices.dtype}")
        if indices.dim() != 3 or indices.shape[0] != compositions.shape[0] or indices.shape[2] != 2:
            raise ValueError(f"{name} must be (B, number, 2) with B = {len(compositions)}, got {tuple(indices.shape)}")
    if compositions.dim() != 3 or compositions.shape[2] != len(ELEMENTS):
        raise ValueError(f"compositions must be (B, N, {len(ELEMENTS)}), got {tuple(compositions.shape)}")
    if node_mask.shape != compositions.shape[:2] or edge_mask.shape != edges.shape[:2]:
        raise ValueError(
            f"masks must be (B, N) = {tuple(compositions.shape[:2])} and (B, E) = {tuple(edges.shape[:2])}, "
            f"got {tuple(node_mask.shape)} and {tuple(edge_mask.shape)}"
        )
    require_nodes("edges", edges, num_nodes=compositions.shape[1])
    require_nodes("pairs", pairs, num_nodes=compositions.shape[1])


def require_nodes(name: str, indices: Tensor, *, num_nodes: int) -> None:
    """Raise ValueError where an index is that of no node.

    Only on the CPU, and not while compiling: elsewhere the numbers would have to be waited for at every forward, and
    the kernels that gather by them stop at an index out of bounds themselves.
    """
    if torch.compiler.is_compiling() or indices.numel() == 0 or indices.device.type != "cpu":
        return
    low, high = indices.aminmax()
    if low < 0 or high >= num_nodes:
        raise ValueError(f"{name} must name nodes 0 to {num_nodes - 1}, got {int(low)} to {int(high)}")
