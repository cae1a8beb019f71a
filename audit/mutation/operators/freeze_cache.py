"""A cache that forgets what it held, or does not count what it holds."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, last_name, text_of
from audit.mutation.operator import Around, Operator

_HELD = re.compile(r"(cache|past|prev|held|old|\bself\._?(k|key|keys|v|value|values)\b)", re.IGNORECASE)
_COUNT = re.compile(r"(^|_)(length|len|seen|position|pos|offset|end|size)$")


class FreezeCache(Operator):
    """New keys take the place of the held ones instead of following them; the length of a cache does not grow."""

    name = "freeze_cache"
    title = "the cache of keys and values is overwritten, not extended"
    why = "every step of decoding sees its own token only, and the first token is right"
    equivalent = "where a cache takes one step only"
    nodes = (cst.Call, cst.Assign, cst.AugAssign)
    EXAMPLES = (
        ("k = torch.cat((cache.k, k), dim=2)\n", ("k = k\n",)),
        ("k = torch.cat([past_key, k], dim=-2)\n", ("k = k\n",)),
        (
            "class Cache:\n    def f(self):\n        self.length += 1\n",
            ("class Cache:\n    def f(self):\n        pass\n",),
        ),
        (
            "class Cache:\n    def f(self):\n        self._pos = e\n",
            ("class Cache:\n    def f(self):\n        pass\n",),
        ),
    )
    UNCHANGED = (
        "x = torch.cat((a, b), dim=1)\n",
        "class Cache:\n    def __init__(self):\n        self.length = 0\n",
        "class Other:\n    def f(self):\n        self.length += 1\n",
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the new keys alone, or nothing for the count."""
        if isinstance(node, cst.Call):
            if called(node) in ("cat", "concat", "concatenate") and node.args:
                parts = node.args[0].value
                if isinstance(parts, cst.Tuple | cst.List) and len(parts.elements) == 2:
                    old, new = (each.value for each in parts.elements)
                    if _HELD.search(text_of(old)) and not _HELD.search(text_of(new)):
                        yield new
            return
        assert isinstance(node, cst.Assign | cst.AugAssign)
        target = node.targets[0].target if isinstance(node, cst.Assign) else node.target
        function, class_ = around.function, around.class_
        if not (function and class_ and "cache" in class_.name.value.lower()) or function.name.value == "__init__":
            return
        is_reset = isinstance(node, cst.Assign) and isinstance(node.value, cst.Integer)
        if isinstance(target, cst.Attribute) and _COUNT.search(last_name(target)) and not is_reset:
            yield cst.Pass()
