"""MOD002: modules in a plain list or dict."""

import ast
from collections.abc import Callable, Iterator, Sequence

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.importing import reference
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.layers import MAKES_WEIGHTS
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import last_name, method, self_attribute


class UnregisteredModules(Rule):
    """Torch registers what is assigned to an attribute; it does not look into lists."""

    id = "MOD002"
    title = "Modules in a plain list or dict are not registered"
    severity = Severity.MAJOR
    what = (
        "Reports `self.x = [...]` and `self.x = {...}` of modules in a module class, unless the class hands them "
        "on to a container, to `add_module` or to `setattr`."
    )
    why = (
        "Their parameters are missing in `parameters()`, in `to(device)` and in the checkpoint: they are never trained."
    )
    fix = "use nn.ModuleList or nn.ModuleDict"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html",)
    nodes = (ast.Assign,)
    words = ("nn",)
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        """,
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                layers = [nn.Linear(4, 4)]
                self.layers = nn.Sequential(*layers)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = [nn.Linear(4, 4)]
                self.layers = nn.ModuleList(self.parts)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.losses = {'near': nn.L1Loss(), 'far': nn.MSELoss()}
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = [nn.Linear(4, 4) for _ in range(3)]
        """,
        """
        from torch import nn


        class B(nn.Module):
            pass


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.heads = {'a': B(), 'b': B()}
        """,
    )
    FIXED = (
        (
            """
            from torch import nn


            class A(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layers = [
                        nn.Linear(4, 4),  # the first
                        nn.Linear(4, 4),
                    ]
            """,
            """
            from torch import nn


            class A(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layers = nn.ModuleList([
                        nn.Linear(4, 4),  # the first
                        nn.Linear(4, 4),
                    ])
            """,
        ),
    )

    def candidates(self, context: FileContext) -> Sequence[ast.AST]:
        """Return the assignments to an attribute of `self`."""
        return context.set_attributes

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a list or dict of modules that nothing registers."""
        match node:
            case ast.Assign(targets=[target], value=value) if name := self_attribute(target):
                made = _elements(value)
            case _:
                return
        owner = context.model_of(context.function_of(node))
        if owner is None or not any(_holds_weights(each, context) for each in made):
            return
        if not _handed_on(owner, name):
            message = f"the modules in `self.{name}` are not registered: it is a plain {_kind(value)}"
            yield Spot(node, message, edits=_edits(value, context))


def _edits(value: ast.expr, context: FileContext) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        kind = "ModuleList" if _kind(value) == "list" else "ModuleDict"
        named = reference(f"torch.nn.{kind}", context, source, at=value)
        if named is None:
            return None
        text, imports = named
        start, end = source.start(value), source.end(value)
        return fix([*imports, Edit(start, start, f"{text}("), Edit(end, end, ")")], FixSafety.UNSAFE)

    return edits


def _holds_weights(expression: ast.expr, context: FileContext) -> bool:
    """Return whether an expression makes a layer with weights; a loss or an activation has nothing to register."""
    return context.resolve(expression) in MAKES_WEIGHTS or context.creates_own_model(expression)


def _elements(value: ast.expr) -> list[ast.expr]:
    """Return the values of a list, dict or comprehension written out."""
    match value:
        case ast.List(elts=found) | ast.Dict(values=found):
            return list(found)
        case ast.ListComp(elt=each) | ast.DictComp(value=each):
            return [each]
    return []


def _kind(value: ast.expr) -> str:
    return "list" if isinstance(value, ast.List | ast.ListComp) else "dict"


def _handed_on(owner: ast.ClassDef, name: str) -> bool:
    """Return whether `self.name` is an argument of some call, is bound again, or modules are added one by one."""
    bound = 0
    for node in ast.walk(owner):
        if isinstance(node, ast.Attribute) and self_attribute(node) == name and isinstance(node.ctx, ast.Store):
            bound += 1
        if isinstance(node, ast.Call):
            if method(node) in ("add_module", "register_module") or last_name(node.func) == "setattr":
                return True
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            values = [each.value if isinstance(each, ast.Starred) else each for each in given]
            if any(self_attribute(each) == name for each in values) and last_name(node.func) not in (
                "len",
                "zip",
                "enumerate",
                "range",
                "print",
                "reversed",
            ):
                return True
    return bound != 1
