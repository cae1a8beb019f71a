"""How an auditor builds each model of this package, and what its attention promises.

Plain Python and torch. `MODELS` has one entry for every registered model, `DATA` one for every kind of simulated data
set; `ATTENTION` one for every mechanism and backend that runs on every device, and for our Triton kernels where
`TRITON_INTERPRET=1` lets them run on a CPU; `BENCHMARKS` one for every backend of `attention`, which says itself what
it does not support; `TRAINING` one for every task. Sizes are small, and differ from one another so that swapped
dimensions do not go unnoticed.
"""

from astrobio.specs.attention import ATTENTION
from astrobio.specs.benchmarks import BENCHMARKS
from astrobio.specs.data import DATA
from astrobio.specs.models import MODELS
from astrobio.specs.training import TRAINING

__all__ = ["ATTENTION", "BENCHMARKS", "DATA", "MODELS", "TRAINING"]
