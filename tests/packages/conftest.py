import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors of a few hundred elements gain nothing from threads, which the target's process would contend with."""
    torch.set_num_threads(1)
