"""SEC005: code of a model hub is run unseen."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import argument_removed
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, constant


class TrustRemoteCode(CallRule):
    """What runs is whatever the repository holds on that day."""

    id = "SEC005"
    title = "`trust_remote_code=True`"
    what = (
        "Reports calls with the literal argument `trust_remote_code=True`, and `torch.hub.load` with `trust_repo=True`."
    )
    why = "The call downloads Python files and runs them; the owner of the repository can change them at any time."
    fix = "leave it out, or pin the revision and review it"
    fix_safety = FixSafety.UNSAFE
    references = ("https://huggingface.co/docs/transformers/models#custom-models",)
    precision = Precision(findings=2, sampled=2, false=0)
    words = ("trust_re",)
    VALID = (
        "model = AutoModel.from_pretrained(name)\n",
        "model = AutoModel.from_pretrained(name, trust_remote_code=trusted)\n",
        "options = dict(trust_remote_code=True) if trusted else {}\n",
        "model = AutoModel.from_pretrained(name, revision='0123abcd', trust_remote_code=True)\n",
    )
    INVALID = (
        "model = AutoModel.from_pretrained(name, trust_remote_code=True)\n",
        """
        import torch

        model = torch.hub.load('owner/name', 'model', trust_repo=True)
        """,
    )
    FIXED = (
        (
            """
            model = AutoModel.from_pretrained(name, trust_remote_code=True, cache_dir=cache)
            """,
            """
            model = AutoModel.from_pretrained(name, cache_dir=cache)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call that trusts code of an unpinned revision."""
        if argument(call, "revision") is not None or argument(call, "code_revision") is not None:
            return
        if constant(argument(call, "trust_remote_code")) is True and context.resolve(call) != "dict":
            edits = argument_removed(call, "trust_remote_code", None, FixSafety.UNSAFE)
            yield Spot(call, "`trust_remote_code=True` runs the code of an unpinned repository", edits=edits)
        if constant(argument(call, "trust_repo")) is True and context.resolve(call) == "torch.hub.load":
            edits = argument_removed(call, "trust_repo", None, FixSafety.UNSAFE)
            yield Spot(call, "`trust_repo=True` runs the code of a repository unseen", edits=edits)
