"""Whatever the layout: after a fix the text parses, comments stay, and a second run changes nothing."""

import ast
import io
import tokenize

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import FixOf

SPACE = st.sampled_from(["", " ", "  ", "\n        ", "  # note\n        ", " \\\n        "])
ARGUMENT = st.sampled_from(
    [
        "x",
        "(y)",
        "f(x, [1])",
        "'é'",
        "x if y else z",
        "lambda: 0",
        "0",
        "True",
        "torch.exp(x) - 1",
        "h * d",
        '"#"',
        "(\n x)",
        "{'a': 1}",
    ]
)
KEYWORD = st.sampled_from(
    ["out=z", "map_location='cpu'", "preserve_rng_state=False", "**options", "Loader=yaml.Loader", "size_average=False",
     "reduce=True", "reduction='sum'", "set_to_none=False", "upper=True", "some=False", "dtype=torch.int64"]
)  # fmt: skip
FUNCTION = st.sampled_from(
    ["torch.load", "torch.meshgrid", "torch.ger", "torch.qr", "cp.checkpoint", "amp.autocast", "amp.GradScaler",
     "yaml.load", "F.dropout", "F.upsample_bilinear", "(torch.load)", "torch.cholesky", "torch.chain_matmul",
     "nn.MSELoss", "torch.lu_solve", "torch.range", "F.softmax", "optimizer.zero_grad",
     "F.scaled_dot_product_attention",
     "amp.custom_fwd", "torch.matrix_rank", "torch.symeig", "x.transpose(1, 2).view", "mask.masked_fill_", "F.mse_loss"]
)  # fmt: skip
HEADER = "import yaml\nimport torch\nimport torch.utils.checkpoint as cp\nimport torch.nn.functional as F\n"
HEADER += "from torch import nn\nfrom torch.cuda import amp\n\n\n"


@st.composite
def calls(draw: st.DrawFn) -> str:
    arguments = [*draw(st.lists(ARGUMENT, max_size=3)), *draw(st.lists(KEYWORD, max_size=2, unique=True))]
    inside = ",".join(f"{draw(SPACE)}{argument}{draw(SPACE)}" for argument in arguments)
    comma = "," if arguments and draw(st.booleans()) else ""
    return f"{draw(FUNCTION)}({inside}{comma}{draw(SPACE)})"


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines = [f"        v{n} = {call}{draw(st.sampled_from(['', '  # why', '; w = 2']))}"
             for n, call in enumerate(draw(st.lists(calls(), min_size=1, max_size=4)))]  # fmt: skip
    text = HEADER + "class A(nn.Module):\n    def forward(self, x):\n" + "\n".join(lines) + "\n        return x\n"
    return text if draw(st.booleans()) else text.replace("\n", "\r\n")


def comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string.strip() for token in tokens if token.type == tokenize.COMMENT]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts())
def test_random_calls_are_fixed_once_and_stay_what_they_are_otherwise(fix_of: FixOf, text: str) -> None:
    try:
        ast.parse(text)
    except SyntaxError:  # `**options` before a name, or one name twice
        return
    result = fix_of(text, models={0})
    assert result.rolled_back is None
    ast.parse(result.text)
    assert comments(result.text) == comments(text)
    assert result.text.count("\r") - text.count("\r") == (result.text.count("\n") - text.count("\n")) * ("\r" in text)
    again = fix_of(result.text, models={0})
    assert (again.text, again.made) == (result.text, ())


MODULES = {
    "functorch": ["vmap", "grad", "make_fx", "jvp"],
    "torch": ["ger", "qr", "outer", "svd", "chain_matmul", "range"],
    "torch.cuda.amp": ["autocast", "GradScaler", "custom_fwd", "common"],
    "torch.nn.init": ["xavier_uniform", "normal_", "constant", "eye"],
}
BETWEEN = st.sampled_from([" ", "\n    ", "  # note\n    ", "\n\n    "])


@st.composite
def imports(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Return a `from` import in some layout, and the names that it binds."""
    module = draw(st.sampled_from(sorted(MODULES)))
    names = draw(st.lists(st.sampled_from(MODULES[module]), min_size=1, unique=True))
    bound = [draw(st.sampled_from([name, f"{name}_"])) for name in names]
    spelled = [name if name == by else f"{name} as {by}" for name, by in zip(names, bound, strict=True)]
    if not draw(st.booleans()):
        return f"from {module} import {', '.join(spelled)}{draw(st.sampled_from(['', '  # why']))}\n", bound
    inside = "".join(f"{draw(BETWEEN)}{each}," for each in spelled)
    return f"from {module} import ({inside}\n)\n", bound


@st.composite
def programs(draw: st.DrawFn) -> str:
    found = draw(st.lists(imports(), min_size=1, max_size=3))
    in_function = draw(st.booleans())
    bound = [name for _, names in found for name in names]
    uses = [f"{name}({draw(st.sampled_from(['', 'x', 'x, y', 'x, False', '*x']))})" for name in bound]
    uses += draw(st.lists(st.sampled_from(bound), max_size=2))  # used without a call
    head = "".join(text for text, _ in found)
    if in_function:
        head = "".join(f"    {line}\n" if line else "\n" for line in head.splitlines())
        return "def f(x, y):\n" + head + "".join(f"    {use}\n" for use in uses)
    return '"""Words."""\n\nfrom __future__ import annotations\n\n' + head + "x = y = 1\n" + "\n".join(uses) + "\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs())
def test_random_imports_bind_afterwards_what_is_used(fix_of: FixOf, text: str) -> None:
    ast.parse(text)
    result = fix_of(text)
    assert result.rolled_back is None  # no name is unbound, by MOD007
    ast.parse(result.text)
    assert comments(result.text) == comments(text)
    again = fix_of(result.text)
    assert (again.text, again.made) == (result.text, ())
