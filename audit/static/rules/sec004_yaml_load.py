"""SEC004: YAML that may construct any object."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import arguments_of, find, without
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.importing import reference
from audit.static.fixes.source import SourceText
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, last_name, unpacks

_LOADERS = frozenset({"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"})
_UNSAFE = frozenset({"yaml.Loader", "yaml.CLoader", "yaml.UnsafeLoader", "yaml.CUnsafeLoader", "yaml.FullLoader"})


class YamlLoad(CallRule):
    """The loader decides what a document may construct."""

    id = "SEC004"
    title = "`yaml.load` without a safe loader"
    severity = Severity.MAJOR
    what = (
        "Reports `yaml.load` and `yaml.load_all` without a loader or with one that constructs Python objects, and "
        "`yaml.unsafe_load`."
    )
    why = "With such a loader a document can run any code. Without a loader PyYAML 6 raises."
    fix = "use yaml.safe_load"
    fix_safety = FixSafety.UNSAFE
    references = ("https://github.com/yaml/pyyaml/wiki/PyYAML-yaml.load(input)-Deprecation",)
    precision = Precision(findings=1, sampled=1, false=0)
    words = ("yaml",)
    called = ("load", "load_all", "unsafe_load", "unsafe_load_all")
    also_silenced_by = ("S506",)
    VALID = (
        """
        import yaml

        settings = yaml.safe_load(text)
        """,
        """
        import yaml

        settings = yaml.load(text, Loader=yaml.SafeLoader)
        """,
        """
        import yaml


        class Mine(yaml.SafeLoader):
            pass


        settings = yaml.load(text, Mine)
        """,
    )
    INVALID = (
        """
        import yaml

        settings = yaml.load(text)
        """,
        """
        import yaml

        settings = yaml.load(text, Loader=yaml.UnsafeLoader)
        """,
        """
        from yaml import unsafe_load

        settings = unsafe_load(text)
        """,
    )
    FIXED = (
        (
            """
            import yaml

            settings = yaml.load(text, Loader=yaml.UnsafeLoader)
            """,
            """
            import yaml

            settings = yaml.safe_load(text)
            """,
        ),
        (
            """
            from yaml import unsafe_load_all

            settings = unsafe_load_all(text)
            """,
            """
            import yaml
            from yaml import unsafe_load_all

            settings = yaml.safe_load_all(text)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a load with a loader that constructs objects."""
        name = context.resolve(call)
        if name in ("yaml.unsafe_load", "yaml.unsafe_load_all"):
            yield Spot(call, f"`{name}` runs code that the document holds", edits=_edits(call, name, context))
        if name not in ("yaml.load", "yaml.load_all") or unpacks(call):
            return
        loader = argument(call, "Loader", 1)
        if loader is None:
            yield Spot(call, f"`{name}` has no loader", edits=_edits(call, name, context))
        elif context.resolve(loader) in _UNSAFE:
            message = f"`{name}` constructs Python objects with `{last_name(loader)}`"
            yield Spot(call, message, edits=_edits(call, name, context))


def _edits(call: ast.Call, name: str, context: FileContext) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        safe = "yaml.safe_load_all" if name.endswith("_all") else "yaml.safe_load"
        named = reference(safe, context, source, at=call, instead_of=call.func)
        loader = find(arguments_of(call, source) or (), "Loader", 1)
        removed = without(call, [loader], source) if loader else []
        if named is None or removed is None:
            return None
        text, imports = named
        renamed = Edit(source.start(call.func), source.end(call.func), text)
        return fix([*imports, *removed, renamed], FixSafety.UNSAFE)

    return edits
