"""SEC003: pickles that are loaded."""

import ast
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Spot
from audit.static.rules.syntax import argument, constant

_LOADS = frozenset(
    f"{module}.{name}"
    for module in ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve")
    for name in ("load", "loads", "Unpickler", "open")
) - {"joblib.loads", "joblib.open", "pickle.open", "dill.open"}
_LOADS |= {"pandas.read_pickle", "pandas.io.pickle.read_pickle"}


class Unpickling(CallRule):
    """A pickle is a program."""

    id = "SEC003"
    title = "A pickle is loaded"
    what = (
        "Reports `pickle.load`, `pickle.loads`, their copies in dill, cloudpickle and joblib, "
        "`pandas.read_pickle`, and `numpy.load(allow_pickle=True)`."
    )
    why = "Whoever can write the data can run any code as the user who loads it."
    fix = "store plain data (JSON, safetensors, npz), or load only what this program wrote and say so with a `# noqa`"
    references = ("https://docs.python.org/3/library/pickle.html",)
    precision = Precision(findings=67, sampled=30, false=1)
    words = ("pickle", "dill", "joblib", "shelve")
    called = ("load", "loads", "Unpickler", "open", "read_pickle")
    also_silenced_by = ("S301",)
    VALID = (
        """
        import pickle

        text = pickle.dumps(state)
        """,
        """
        import numpy as np

        a = np.load('a.npy')
        """,
        """
        import json

        state = json.load(file)
        """,
    )
    INVALID = (
        """
        import pickle

        state = pickle.load(file)
        """,
        """
        from pickle import loads

        state = loads(data)
        """,
        """
        import numpy as np

        a = np.load('a.npy', allow_pickle=True)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call that unpickles."""
        name = context.resolve(call)
        if name in _LOADS:
            yield Spot(call, f"`{name}` runs code that the data holds")
        elif name == "numpy.load" and constant(argument(call, "allow_pickle", 2)) is True:
            yield Spot(call, "`numpy.load(allow_pickle=True)` runs code that the file holds")
