"""A predictor with the weights of a surrogate that has learned nothing: what is tested is what stands around it."""

import json
from pathlib import Path

import pytest
import torch

from astrobio.serving.loaded_run import Predictor, TrainedModel
from astrobio.training.tasks import create_task
from astrobio.training.trainer import fit

EARTH = [1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    task = create_task("climate", "fast")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = task.build_model().eval()
    return Predictor(TrainedModel(task=task, step=7, steps=9, model=model))


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    path = tmp_path_factory.mktemp("runs") / "climate"
    fit(create_task("climate", "fast"), steps=2, output=path)
    return path


@pytest.fixture
def earth_json() -> bytes:
    return json.dumps({"inputs": {"planet_parameters": [EARTH, EARTH]}}).encode()
