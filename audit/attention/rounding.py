"""How far two runs of one mechanism may be apart by rounding, where no oracle knows what it computes.

An implementation rounds its input, and after that each result on the way to the output: projections, scale, products,
softmax, sum, output projection. To first order, rounding a result on the way moves the output about as far as rounding
the input does (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 1.5: a computation is as wrong
as its input would be, changed by a few units in the last place). So the output's response to an input that is changed
by one unit in the last place, times the number of steps that round, is what one run may err by; two runs may each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from audit.attention.bounds import distance, rounding_of
from audit.attention.contract import Dtype
from audit.attention.subject import DTYPES, Case

# Projection of the input, scale, product with the keys, mask, exponential, sum, product with the values, projection.
STEPS = 8
DRAWS = 4  # signs are drawn anew each time; one draw can leave an output where it was
BOUND = (
    f"2 x {STEPS} steps that round x the largest change of the output over {DRAWS} draws in which every element of the "
    "input moves by one unit in the last place of {dtype}, plus 2 x the rounding of the result"
)


def rounded_cases(case: Case, dtype: Dtype, generator: torch.Generator) -> list[Case]:
    """Return the case `DRAWS` times, each element of its floating-point tensors one unit in the last place away."""
    eps = torch.finfo(DTYPES[dtype]).eps

    def moved(tensor: Tensor) -> Tensor:
        signs = torch.randint(0, 2, tensor.shape, generator=generator).to(tensor.dtype) * 2 - 1
        return tensor * (1 + eps * signs)

    floating = {name: tensor for name, tensor in case.tensors.items() if tensor.is_floating_point()}
    return [
        case.replaced(f"{case.name}, rounded", **{name: moved(tensor) for name, tensor in floating.items()})
        for _ in range(DRAWS)
    ]


def two_runs_allowance(output: Tensor, rounded: Sequence[Tensor]) -> float:
    """Return how far two correct runs on inputs like these may be apart, given the outputs of `rounded_cases`."""
    response = max(distance(each, output) for each in rounded)
    return 2 * STEPS * response + rounding_of(output)
