"""The model of a run, with its weights, its card, and checked answers."""

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from astrobio.registry import ModelCard, name_of_model, registered_model
from astrobio.serving.inputs import InputSpec, input_specs, num_samples
from astrobio.training.checkpoints import load_newest
from astrobio.training.errors import RunFolderError
from astrobio.training.run_folder import RunFolder
from astrobio.training.run_state import load_weights, own_random_state
from astrobio.training.task import TrainingTask
from astrobio.training.tasks import create_task


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What a run has learned so far.

    Attributes:
        task: what it learns.
        step: optimiser steps behind the weights; `steps` are all that the run was to take.
        model: in evaluation mode, on the CPU.
    """

    task: TrainingTask
    step: int
    steps: int
    model: nn.Module


class Predictor:
    """Answers of a trained model to checked inputs; one call at a time computes."""

    def __init__(self, trained: TrainedModel) -> None:
        """Find the card and the inputs of the model.

        Raises:
            RunFolderError: the model is not registered, so that nothing says what its inputs are.
        """
        self.trained = trained
        try:
            self.model_name = trained.task.model_name or name_of_model(trained.model)
        except ValueError as error:
            raise RunFolderError(f"the model of {trained.task.name} cannot be asked: {error}") from error
        entry = registered_model(self.model_name)
        self.card: ModelCard = entry.card
        self.specs: tuple[InputSpec, ...] = input_specs(entry)
        self._lock = threading.Lock()

    @torch.inference_mode()
    def answers(self, inputs: Mapping[str, Tensor], *, batch_size: int = 256) -> dict[str, Tensor]:
        """The outputs by name for inputs from `checked`; samples are computed `batch_size` at a time.

        Raises:
            FloatingPointError: an output is not finite.
            ValueError, TypeError, IndexError: the model refuses inputs that their own check let through.
        """
        with self._lock:
            parts = [self._outputs(part) for part in self._parts(inputs, batch_size)]
        outputs = {
            name: torch.cat([part[name] for part in parts]) if len(parts) > 1 else parts[0][name] for name in parts[0]
        }
        for name, output in outputs.items():
            if output.is_floating_point() and not output.isfinite().all():
                raise FloatingPointError(f"the model's {name} is not finite for these inputs")
        return outputs

    def units(self, outputs: Mapping[str, Tensor]) -> dict[str, str]:
        """The unit of each output whose unit the card tells."""
        return {name: self.card.units[name] for name in outputs if name in self.card.units}

    def _parts(self, inputs: Mapping[str, Tensor], size: int) -> list[dict[str, Tensor]]:
        if any(spec.batch_dim != 0 for spec in self.specs):
            return [dict(inputs)]
        starts = range(0, num_samples(inputs, self.specs), size)
        return [{name: tensor[start : start + size] for name, tensor in inputs.items()} for start in starts]

    def _outputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        output = self.trained.model(**inputs)
        if isinstance(output, Tensor):
            names = list(self.card.outputs)
            return {names[0] if len(names) == 1 else "output": output}
        if dataclasses.is_dataclass(output):
            return {each.name: getattr(output, each.name) for each in dataclasses.fields(output)}
        if isinstance(output, tuple) and hasattr(output, "_asdict"):
            return dict(output._asdict())
        if isinstance(output, Mapping):
            return dict(output)
        return {f"output_{index}": each for index, each in enumerate(output)}


def load_trained(path: Path, *, report: Callable[[str], None]) -> TrainedModel:
    """The model of the newest good checkpoint of a run.

    Raises:
        RunFolderError: there is no run, no task of its name, no good checkpoint, or weights of another model.
    """
    folder = RunFolder(path)
    identity = folder.identity()
    try:
        task = create_task(identity["task"], identity["preset"], seed=identity["seed"])
    except ValueError as error:
        raise RunFolderError(f"{path} holds a run that this version does not know: {error}") from error
    checkpoint = load_newest(folder.checkpoints, report=report)
    if checkpoint is None:
        raise RunFolderError(f"{path} has no checkpoint yet")
    with own_random_state(task.seed, torch.device("cpu")):
        model = task.build_model()
    try:
        load_weights(model, checkpoint.tensors)
    except RuntimeError as error:  # its message lists every name
        told = " ".join(str(error).split())
        raise RunFolderError(f"the weights in {path} are those of another model: {told:.200}") from error
    return TrainedModel(task=task, step=checkpoint.step, steps=identity["steps"], model=model.eval())
