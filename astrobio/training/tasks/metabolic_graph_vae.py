"""Link prediction in metabolic networks that were not trained on."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from astrobio.data.artificial_chemistry import ELEMENTS, MAX_CARBON, REACTION_CLASSES
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
    model_name = "metabolic_graph_vae_small"
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

        `auc` is over hidden edges and as many absent pairs, as Kipf & Welling 2016 measure it; `baseline_auc` is that
        of a rule that looks at the two compositions alone: whether one reaction class turns one into the other.
        `auc_plausible` keeps of the absent pairs the `num_plausible_absent` that pass this rule. Its baseline is a
        count among the given edges: of the pairs that this class would join, for substrates of as many carbons, with
        or without phosphate, the share that is joined. The networks are made that way, so it is hard to beat.
        """
        _, held_out = self.networks
        batch = batch_with_hidden_edges(held_out, torch.Generator().manual_seed(self.seed))
        device = next(model.parameters()).device
        output = model(**{name: tensor.to(device) for name, tensor in batch.inputs().items()})
        logits = output.pair_logits.cpu().double()[batch.pair_mask]
        shares = _joined_shares(batch)[batch.pair_mask]
        is_edge = batch.is_edge[batch.pair_mask]
        plausible = shares >= 0
        return {
            "num_held_out": float(len(held_out)),
            "num_plausible_absent": float((plausible & ~is_edge).sum()),
            "auc": area_under_roc(logits, is_edge),
            "auc_plausible": area_under_roc(logits[plausible], is_edge[plausible]),
            "baseline_auc": area_under_roc(plausible.double(), is_edge),
            "baseline_auc_plausible": area_under_roc(shares[plausible], is_edge[plausible]),
        }


def _joined_shares(batch: NetworkBatch) -> Tensor:
    """Of each pair (B, P), the share of pairs like it that a given edge joins; -1 where no reaction class fits.

    Pairs are alike where the same class would turn one compound into the other, from a substrate with as many carbons
    and likewise with or without phosphate. Half a pair is added to both counts, for what was never seen.
    """
    compositions = batch.compositions.long()
    rows = torch.arange(len(compositions))[:, None]
    size = compositions.shape[1]
    both = batch.node_mask[:, :, None] & batch.node_mask[:, None, :]
    difference = compositions[:, None] - compositions[:, :, None]  # (B, substrate, product, 6)
    joined = torch.zeros(len(compositions), size, size, dtype=torch.bool)
    for first, second in ((0, 1), (1, 0)):
        index = (rows, batch.edges[..., first], batch.edges[..., second])
        joined.index_put_(index, torch.tensor(True))
    joined &= both
    kind = compositions[..., ELEMENTS.index("C")] * 2 + (compositions[..., ELEMENTS.index("P")] > 0)  # (B, substrate)
    num_kinds = 2 * (MAX_CARBON + 1)
    shares = torch.full((len(compositions), size, size), -1.0, dtype=torch.float64)
    for reaction in REACTION_CLASSES:
        fits = (difference == torch.tensor(reaction.change)).all(dim=-1) & both
        counts = torch.zeros(2, len(compositions), num_kinds, dtype=torch.float64)
        for count, pairs in zip(counts, (joined & fits, fits), strict=True):
            count.scatter_add_(1, kind, pairs.sum(dim=2).double())
        share = ((counts[0] + 0.5) / (counts[1] + 1.0)).gather(1, kind)[..., None].expand_as(shares)
        shares = torch.where(fits, share, shares)
    shares = torch.maximum(shares, shares.transpose(1, 2))  # whichever of the two is the substrate
    return shares[rows, batch.pairs[..., 0], batch.pairs[..., 1]]
