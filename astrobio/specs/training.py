"""The learning tasks, in an auditor's loop and by our own command."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from astrobio.registry import registered_model
from astrobio.training.schedules import learning_rate_factor
from astrobio.training.task import Batch, TrainingTask
from astrobio.training.tasks import TASKS, create_task


def _training_spec(name: str) -> dict[str, object]:
    """A learning task with its preset "fast", in an auditor's loop and by our own command."""
    preset = create_task(name, "fast").preset
    tasks: dict[int, TrainingTask] = {}  # by seed: a task keeps the data that it has simulated

    def task_of(seed: int) -> TrainingTask:
        if seed not in tasks:
            tasks[seed] = create_task(name, "fast", seed=seed)
        return tasks[seed]

    def batches(seed: int, start_step: int) -> Callable[[int], Batch]:
        return lambda step: task_of(seed).batch(step, preset.batch_size)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return task_of(_ANY_SEED).loss(model, batch)["loss"]

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay)

    def scheduler(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        factor = partial(
            learning_rate_factor, steps=preset.steps, warm_up_steps=preset.warm_up_steps, schedule="constant"
        )
        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    options = (
        f"train {name} --preset fast --seed {{seed}} --steps {{steps}} --checkpoint-every {{checkpoint_every}} "
        "--output {checkpoint_dir} --threads 1"
    )
    ranks: dict[str, object] = {
        "torchrun": f"{{python}} -m torch.distributed.run --standalone --nproc-per-node 2 -m astrobio.cli {options}",
        "one_process": f"{{python}} -m astrobio.cli {options} --accumulate 2",
        "curve": "log.jsonl",
    }
    return {
        "class": registered_model(_LEARNED[name]).class_path,
        "build": lambda: task_of(_ANY_SEED).build_model(),
        "batches": batches,
        "loss": loss,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "command": f"{{python}} -m astrobio.cli {options} {{resume}}",
        **({} if name in _DRAWING else ranks),
    }


# The model that the preset "fast" of each task learns.
_LEARNED = {
    "climate": "climate_surrogate_small",
    "climate_diffusion": "climate_diffusion_small",
    "datacube": "datacube_unet_small",
    "habitability": "habitability_fusion_small",
    "metabolic_graph_vae": "metabolic_graph_vae_small",
    "sequence_decoder": "sequence_decoder_small",
    "spectral_autoencoder": "spectral_autoencoder_small",
}
_DRAWING = ("metabolic_graph_vae",)  # draws in its forward pass, and each rank draws otherwise
_ANY_SEED = 0  # neither a model nor a loss depends on the seed of a task, which is that of its data
TRAINING: dict[str, dict[str, object]] = {name: _training_spec(name) for name in sorted(TASKS)}
