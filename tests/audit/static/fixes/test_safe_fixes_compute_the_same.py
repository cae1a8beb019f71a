"""What is called safe gives the same numbers in torch, bit for bit, before and after."""

import warnings
from collections.abc import Iterator

import pytest
import torch

from audit.static.rules.rule import FixSafety

from .conftest import FixOf

HEADER = """
import functorch
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
a, b, c = torch.randn(3, 4, 4), torch.randn(4, 4), torch.randn(4, 4)
s = b @ b.T + 4 * torch.eye(4)
lu, pivots = torch.linalg.lu_factor(s)
x, y = torch.randn(5, 3, 8, 8), torch.rand(5, 3, 8, 8)
labels = torch.randint(0, 3, (5, 8, 8))
layer = nn.Linear(4, 2)
with torch.no_grad():
    layer.weight.fill_(0.5)
"""
EXPRESSIONS = (
    "torch.ger(b[0], b[1])",
    "tuple(torch.qr(a))",
    "tuple(torch.qr(torch.randn(5, 3), False))",
    "tuple(torch.qr(torch.randn(5, 3), some=True))",
    "torch.cholesky(s)",
    "torch.cholesky(s, True)",
    "torch.cholesky(s, upper=True)",
    "torch.chain_matmul(b, c, b, c)",
    "torch.lu_solve(c, lu, pivots)",
    "torch.range(2, 9, dtype=torch.int64)",
    "torch.range(9, 2, -1, dtype=torch.float32)",
    "torch.meshgrid(torch.arange(3), torch.arange(4))",
    "torch.meshgrid([torch.arange(3), torch.arange(4)])",
    "F.upsample(x, scale_factor=2)",
    "F.upsample(x, (4, 4), None, 'bilinear', True)",
    "F.upsample_nearest(x, scale_factor=2)",
    "F.upsample_bilinear(x, (5, 7))",
    "nn.NLLLoss2d()(x.log_softmax(1), labels)",
    "nn.init.uniform(torch.empty(3), -1, 1)",
    "nn.init.xavier_normal(torch.empty(3, 3), gain=2.0)",
    "functorch.vmap(torch.sin)(a)",
    "functorch.grad(lambda t: (t**3).sum())(b)",
    "functorch.jacrev(torch.exp)(b[0])",
    "torch.nn.utils.stateless.functional_call(layer, {'weight': torch.ones(2, 4)}, (b,))",
    "torch.nn.utils.clip_grad_norm([nn.Parameter(b)], 1.0)",
    "torch.cuda.memory_cached()",
    "torch.distributed.reduce_op.SUM == torch.distributed.ReduceOp.SUM",
    "F.mse_loss(x, y, size_average=False)",
    "F.l1_loss(x, y, reduce=False)",
    "F.cross_entropy(x, labels, size_average=True, reduce=True)",
    "F.kl_div(x, y, size_average=False, reduction='none')",
    "nn.BCELoss(size_average=False, reduce=True)(y, y)",
    "nn.SmoothL1Loss(reduce=False)(x, y)",
    "a.transpose(1, 2).view(3, 4, 2 * 2)",
)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Deprecation warnings are what these calls are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def value_of(text: str) -> object:
    names: dict[str, object] = {}
    exec(text, names)  # the texts are those above
    return names["result"]


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_safe_fix_computes_the_same(expression: str, fix_of: FixOf) -> None:
    text = f"{HEADER}result = {expression}\n"
    fixed = fix_of(text, "API002", "API015", "API016", "ATT015", allowed={FixSafety.SAFE})
    assert fixed.made
    assert fixed.left == ()
    assert same(value_of(text), value_of(fixed.text))


@pytest.mark.usefixtures("quiet")
def test_autocast_with_its_type_computes_in_it_before_and_after(fix_of: FixOf) -> None:
    text = HEADER + (
        "with torch.cpu.amp.autocast(True, torch.bfloat16):\n    result = b @ c\n"
        "with torch.cpu.amp.autocast(dtype=torch.float16):\n    result = [result, b @ c]\n"
    )
    fixed = fix_of(text, "API002", allowed={FixSafety.SAFE})
    assert len(fixed.made) == 2
    before, after = value_of(text), value_of(fixed.text)
    assert same(before, after)
    assert isinstance(before, list)
    assert [each.dtype for each in before] == [torch.bfloat16, torch.float16]
