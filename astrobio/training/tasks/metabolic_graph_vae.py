"""Link prediction in metabolic networks that were not trained on."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from astrobio.data.artificial_chemistry import REACTION_CLASSES
from astrobio.data.metabolic_networks import MetabolicNetwork, generate_networks
from astrobio.data.network_batches import NetworkBatch, batch_with_hidden_edges
from astrobio.models.metabolic_graph_vae import MetabolicGraphVAE, MetabolicGraphVAEConfig, graph_vae_loss
from astrobio.training.ranking import area_under_roc
from astrobio.training.task import Batch, Preset, TrainingTask, step_generator

_NUM_HELD_OUT = 300
_NUM_TRAINING = {"base": 4000, "fast": 1000}


class MetabolicGraphVAETask(TrainingTask):
    """Fits `MetabolicGraphVAE` to networks with hidden edges and scores hidden edges of other networks."""

    name = "metabolic_graph_vae"
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=3000, batch_size=32, learning_rate=2e-3),
        "fast": Preset(steps=400, batch_size=32, learning_rate=4e-3),
    }

    @cached_property
    def networks(self) -> tuple[list[MetabolicNetwork], list[MetabolicNetwork]]:
        """(training, held-out) networks, no two with the same digest."""
        num_training = _NUM_TRAINING[self.preset_name]
        networks = generate_networks(num_training + _NUM_HELD_OUT, self.seed)
        return networks[:num_training], networks[num_training:]

    @property
    def config(self) -> MetabolicGraphVAEConfig:
        """The model's settings."""
        return MetabolicGraphVAEConfig()

    def build_model(self) -> nn.Module:
        """A new `MetabolicGraphVAE`."""
        return MetabolicGraphVAE(self.config)

    def batch(self, step: int, batch_size: int) -> Batch:
        """Training networks drawn with replacement, with edges hidden anew at every step."""
        training, _ = self.networks
        generator = step_generator(self.seed, step)
        drawn = torch.randint(len(training), (batch_size,), generator=generator).tolist()
        batch = batch_with_hidden_edges([training[each] for each in drawn], generator)
        return {**batch.inputs(), "is_edge": batch.is_edge, "pair_mask": batch.pair_mask}

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """The negative evidence lower bound, weighted."""
        inputs = {name: tensor for name, tensor in batch.items() if name not in ("is_edge", "pair_mask")}
        return {
            "loss": graph_vae_loss(
                model(**inputs),
                batch["is_edge"],
                batch["pair_mask"],
                batch["node_mask"],
                kl_weight=self.config.kl_weight,
            )
        }

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """Areas under the receiver operating characteristic over the asked pairs of all held-out networks.

        `auc` is over hidden edges and as many absent pairs, as Kipf & Welling 2016 measure it. `auc_plausible` keeps of
        the absent pairs those that differ by what a reaction class changes, which compositions alone do not tell from
        edges. `baseline_auc` and `baseline_auc_plausible` rank by the number of common neighbours.
        """
        _, held_out = self.networks
        batch = batch_with_hidden_edges(held_out, torch.Generator().manual_seed(self.seed))
        device = next(model.parameters()).device
        output = model(**{name: tensor.to(device) for name, tensor in batch.inputs().items()})
        logits = output.pair_logits.cpu().double()[batch.pair_mask]
        common = _common_neighbours(batch)[batch.pair_mask]
        is_edge = batch.is_edge[batch.pair_mask]
        plausible = _differs_by_a_reaction(batch)[batch.pair_mask]
        return {
            "num_held_out": float(len(held_out)),
            "auc": area_under_roc(logits, is_edge),
            "auc_plausible": area_under_roc(logits[plausible], is_edge[plausible]),
            "baseline_auc": area_under_roc(common, is_edge),
            "baseline_auc_plausible": area_under_roc(common[plausible], is_edge[plausible]),
        }


def _common_neighbours(batch: NetworkBatch) -> Tensor:
    """How many compounds both of a pair (B, P) are joined with by the given edges (Liben-Nowell & Kleinberg 2007)."""
    rows = torch.arange(len(batch.edges))[:, None]
    size = batch.compositions.shape[1]
    adjacency = torch.zeros(len(batch.edges), size, size, dtype=torch.float64)
    for first, second in ((0, 1), (1, 0)):
        index = (rows, batch.edges[..., first], batch.edges[..., second])
        adjacency.index_put_(index, batch.edge_mask.double(), accumulate=True)
    return (adjacency @ adjacency)[rows, batch.pairs[..., 0], batch.pairs[..., 1]]


def _differs_by_a_reaction(batch: NetworkBatch) -> Tensor:
    """Which pairs (B, P) have compositions that one reaction class turns into one another, forwards or backwards."""
    rows = torch.arange(len(batch.pairs))[:, None]
    difference = (
        batch.compositions[rows, batch.pairs[..., 0]] - batch.compositions[rows, batch.pairs[..., 1]]
    )  # (B, P, 6)
    changes = torch.tensor([kind.change for kind in REACTION_CLASSES], dtype=difference.dtype)
    both = torch.cat((changes, -changes))
    return (difference[..., None, :] == both).all(dim=-1).any(dim=-1)
