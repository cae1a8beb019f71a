"""The learning tasks of this package by name; a module is imported when its task is asked for."""

from importlib import import_module

from astrobio.training.task import TrainingTask

# name -> "module:class"
TASKS: dict[str, str] = {
    "climate": "astrobio.training.tasks.climate:ClimateTask",
    "climate_diffusion": "astrobio.training.tasks.climate_diffusion:ClimateDiffusionTask",
    "datacube": "astrobio.training.tasks.datacube:DatacubeTask",
    "habitability": "astrobio.training.tasks.habitability:HabitabilityTask",
    "metabolic_graph_vae": "astrobio.training.tasks.metabolic_graph_vae:MetabolicGraphVAETask",
    "sequence_decoder": "astrobio.training.tasks.sequence_decoder:SequenceDecoderTask",
    "spectral_autoencoder": "astrobio.training.tasks.spectral_autoencoder:SpectralAutoencoderTask",
}


def create_task(name: str, preset: str = "base", *, seed: int = 0) -> TrainingTask:
    """The task of this name.

    Raises:
        ValueError: there is no such task, or it has no such preset; the message lists the valid ones.
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; choose from: {', '.join(sorted(TASKS))}")
    module, _, qualname = TASKS[name].partition(":")
    task_class: type[TrainingTask] = getattr(import_module(module), qualname)
    return task_class(preset, seed=seed)
