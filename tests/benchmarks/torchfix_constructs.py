"""Small programs for everything that TorchFix 0.7.0 reports, written from what its rules look for.

A line ends with `#! TOR101` where both tools are to report it, and with `#~ TOR101` where TorchFix alone does, for the
reason that stands beside the program in `ONLY_TORCHFIX`.
"""

import re
from collections.abc import Iterator

_MARK = re.compile(r"#(?P<kind>[!~]) (?P<ids>TOR\d{3}(?: TOR\d{3})*)$")

_REMOVED = ("solve", "symeig", "matrix_rank", "lstsq")
_DEPRECATED = ("qr", "chain_matmul", "cholesky", "ger", "lu_solve", "norm", "svd", "triangular_solve", "lu")
_DEEPER = (
    "torch.nn.UpsamplingNearest2d",
    "torch.nn.UpsamplingBilinear2d",
    "torch.testing.assert_allclose",
    "torch.nn.utils.weight_norm",
    "torch.utils._pytree._register_pytree_node",
    "torch.backends.cuda.sdp_kernel",
)
_FUNCTORCH = ("vmap", "grad", "vjp", "jvp", "jacrev", "jacfwd", "hessian", "functionalize")


def _named(module: str, name: str, used: str, imported: str) -> Iterator[tuple[str, str]]:
    """Yield programs that use a name by its module, and by an import of its own."""
    root = module.partition(".")[0]
    key = f"{module}_{name}".replace(".", "_")
    yield f"{key}_used", f"import {module if root != 'torch' else 'torch'}\n\ny = {module}.{name}(x)  #! {used}\n"
    yield (
        f"{key}_imported",
        f"import torch\nfrom {module} import {name} as function  #! {imported}\n\ny = function(x)  #! {used}\n",
    )


def _range() -> Iterator[tuple[str, str]]:
    """TorchFix fails on the whole file where `range` is imported by name, so that it reports nothing there."""
    yield "range_used", "import torch\n\ny = torch.range(0, 3)  #! TOR101\n"


def _symbols() -> Iterator[tuple[str, str]]:
    yield from _range()
    for name in _REMOVED:
        yield from _named("torch", name, "TOR001", "TOR004")
    for name in _DEPRECATED:
        yield from _named("torch", name, "TOR101", "TOR103")
    for full in _DEEPER:
        module, _, name = full.rpartition(".")
        yield from _named(module, name, "TOR101", "TOR103")
    for name in _FUNCTORCH:
        yield from _named("functorch", name, "TOR101", "TOR103")


CONSTRUCTS: dict[str, str] = {
    **dict(_symbols()),
    "module_alias": "import torch as t\n\ny = t.svd(x)  #! TOR101\n",
    "submodule_alias": "import torch.nn.utils as u\n\ny = u.weight_norm(x)  #! TOR101\n",
    "in_a_class": "import torch\n\n\nclass A:\n    def f(self, x):\n        return torch.ger(x, x)  #! TOR101\n",
    "nested_calls": "import torch\n\ny = torch.qr(torch.cholesky(x))  #! TOR101\n",
    "several_imports": "from torch import svd, tensor  #! TOR103\n",
    "imported_in_a_function": "def f(x):\n    from torch import symeig  #! TOR004\n\n    return symeig(x)  #! TOR001\n",
    "require_grad": "import torch\n\np.require_grad = False  #! TOR002\nself.a.require_grad = True  #! TOR002\n",
    "checkpoint": (
        "import torch.utils.checkpoint\nfrom torch.utils.checkpoint import checkpoint as run\n\n"
        "y = torch.utils.checkpoint.checkpoint(f, x)  #! TOR003\n"
        "z = run(f, x, preserve_rng_state=False)  #! TOR003\n"
        "w = run(f, x, use_reentrant=True)\n"
    ),
    "load": (
        "import torch\nfrom torch import load as read\n\na = torch.load('a')  #! TOR102\n"
        "b = read(open('a', 'rb'), 'cpu')  #! TOR102\nc = torch.load('a', pickle_module=p)  #! TOR102\n"
        "d = torch.load('a', weights_only=False)\n"
    ),
    "private_collate": (
        "import torch\nfrom torch.utils.data._utils.collate import default_collate  #! TOR105\n"
        "from torch.utils.data._utils.collate import default_convert as convert  #! TOR105\n\n"
        "a = default_collate(x)  #! TOR104\nb = convert(x)  #! TOR104\n"
        "c = torch.utils.data._utils.collate.default_convert(x)  #! TOR104\n"
    ),
    "log1p": (
        "import torch\n\na = torch.log(1 + x)  #! TOR106\nb = torch.log(x + 1.0)  #! TOR106\n"
        "c = torch.log(1.0 + x)  #! TOR106\nd = torch.log(x + 2)\n"
    ),
    "expm1": (
        "import torch\nfrom torch import exp\n\na = torch.exp(x) - 1  #! TOR107\nb = exp(x) - 1.0  #! TOR107\n"
        "c = 2 * (torch.exp(x) - 1)  #! TOR107\nd = torch.exp(x) - 2\n"
    ),
    "pretrained": (
        "import torchvision\nimport torchvision.models as models  #! TOR203\nfrom torchvision.models import resnet50\n"
        "from torchvision.models.resnet import resnet18 as small\n\n"
        "a = resnet50(pretrained=True)  #! TOR201\nb = small(pretrained=False)  #! TOR201\n"
        "c = models.vgg11(True)  #! TOR201\nd = torchvision.models.resnet34(pretrained=flag)  #! TOR201\n"
        "e = models.detection.fasterrcnn_resnet50_fpn(pretrained_backbone=False)  #! TOR201\n"
        "f = models.segmentation.fcn_resnet50(False, pretrained_backbone=False)  #! TOR201\n"
        "g = models.resnet34(weights=None)\nh = models.resnet34(flag)  #! TOR201\n"
    ),
    "to_tensor": (
        "import torch\nimport torchvision.transforms.v2 as w\nfrom torchvision.transforms import v2\n"
        "from torchvision.transforms.v2 import ToTensor  #! TOR202\n"
        "a = v2.ToTensor()  #! TOR202\nb = w.ToTensor()  #! TOR202\n"
    ),
    "same_name_twice": (
        "import torchvision.datasets as datasets  #! TOR203\nimport torchvision.transforms as transforms  #! TOR203\n"
        "import torchvision.models as m\n"
    ),
    "loader": (
        "import torch\nfrom torch.utils.data import DataLoader\n\na = DataLoader(d)  #! TOR401\n"
        "b = torch.utils.data.DataLoader(d, num_workers=0)  #! TOR401\n"
        "c = DataLoader(d, 1, False, None, None, 0)  #! TOR401\ne = DataLoader(d, num_workers=2)\n"
    ),
    "test_library": "import torch\n\nlibrary = torch.library.Library('mine', 'DEF')  #! TOR901\n",
}

ONLY_TORCHFIX: dict[str, tuple[str, str]] = {
    "guarded_import": (
        "the old name is the fallback for an old torch",
        "try:\n    from torch import vmap\nexcept ImportError:\n    from functorch import vmap  #~ TOR103\n",
    ),
    "version_test": (
        "the line runs with an old torch only",
        "import torch\n\nif torch.__version__ < '1.9':\n    y = torch.solve(a, b)  #~ TOR001\n",
    ),
    "silenced": (
        "`# noqa` names the rule",
        "import torch\n\ny = torch.load('a')  # noqa: TOR102 #~ TOR102\n",
    ),
    "called_options": (
        "the argument may be among the options",
        "import torch\n\ny = torch.load('a', **options)  #~ TOR102\n",
    ),
}


def marked_lines(text: str, kind: str = "!") -> set[tuple[int, str]]:
    """Return the lines of a program that carry a mark of the kind, each with an id."""
    found = set()
    for number, line in enumerate(text.splitlines(), start=1):
        mark = _MARK.search(line)
        if mark and mark["kind"] == kind:
            found |= {(number, name) for name in mark["ids"].split()}
    return found


def programs() -> dict[str, str]:
    """Return all programs by the name of their file, which is that of a test."""
    only = {name: text for name, (_, text) in ONLY_TORCHFIX.items()}
    return {f"test_{name}.py": text for name, text in (CONSTRUCTS | only).items()}
