"""How well a trained graph VAE finds hidden edges of the E. coli core network, which it was not made for.

    python tests/benchmarks/e_coli_links.py RUN_DIR [SPLITS]

The run is one of `astrobio train metabolic_graph_vae`; cobrapy brings the network (the extra `networks`). Each split
hides 15 % of the edges and asks for them among as many absent pairs, drawn anew. Printed are the mean area under the
receiver operating characteristic and its standard deviation over the splits, of the model and of two rules that learn
nothing: how few atoms two compounds differ by, and how many given edges they have (the product of the numbers).
"""

import statistics
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from astrobio.data.metabolic_networks import MetabolicNetwork, e_coli_core
from astrobio.data.network_batches import NetworkBatch, batch_with_hidden_edges
from astrobio.serving.loaded_run import load_trained
from astrobio.training.ranking import area_under_roc


@torch.no_grad()
def areas(model: nn.Module, network: MetabolicNetwork, *, splits: int, seed: int = 0) -> dict[str, list[float]]:
    """The area under the curve of each split: of the model, by atoms, and by edges."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[float]] = {"model": [], "atoms in common": [], "edges of both": []}
    for _ in range(splits):
        batch = batch_with_hidden_edges([network], generator)
        by_atoms, by_edges = rules(batch)
        for name, scores in zip(found, (model(**batch.inputs()).pair_logits[0], by_atoms, by_edges), strict=True):
            found[name].append(area_under_roc(scores.double(), batch.is_edge[0]))
    return found


def rules(batch: NetworkBatch) -> tuple[Tensor, Tensor]:
    """Of each pair (P,): minus the atoms by which its compounds differ, and the product of their numbers of edges."""
    pairs, compositions = batch.pairs[0], batch.compositions[0]
    apart = (compositions[pairs[:, 0]] - compositions[pairs[:, 1]]).abs().sum(dim=1)
    degrees = torch.bincount(batch.edges[0].flatten(), minlength=len(compositions))
    return -apart, degrees[pairs].prod(dim=1)


def main() -> None:
    run_dir, *rest = sys.argv[1:]
    trained = load_trained(Path(run_dir), report=print)
    network = e_coli_core()
    splits = int(rest[0]) if rest else 200
    print(f"{len(network)} compounds, {len(network.edges)} edges; step {trained.step}; {splits} splits")
    for name, values in areas(trained.model, network, splits=splits).items():
        print(f"{name}: AUC {statistics.mean(values):.3f}, standard deviation {statistics.stdev(values):.3f}")


if __name__ == "__main__":
    main()
