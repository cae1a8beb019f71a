"""SEC007: a command line put together from values and given to a shell."""

import ast
from collections.abc import Iterator

from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, constant, last_name

_SHELLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
_RUNS = frozenset(f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen"))


class ShellInjection(CallRule):
    """The shell reads the value as part of the program."""

    id = "SEC007"
    title = "A shell runs a command line made of values"
    what = (
        "Reports `os.system`, `os.popen` and `subprocess` with `shell=True` whose command is put together from "
        "values that are not quoted with `shlex.quote` or `shlex.join`."
    )
    why = "A path or a name with a space breaks the command, and one with a semicolon runs another."
    fix = "pass a list of arguments without a shell: subprocess.run([...], check=True)"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.python.org/3/library/subprocess.html#security-considerations",)
    words = ("os.", "subprocess", "system", "popen")
    called = ("system", "popen", "getoutput", "getstatusoutput", "run", "call", "check_call", "check_output", "Popen")
    also_silenced_by = ("S602", "S605")
    VALID = (
        """
        import subprocess

        subprocess.run(['ls', path], check=True)
        """,
        """
        import os

        os.system('nvidia-smi')
        """,
        """
        import shlex
        import subprocess

        subprocess.run(f'ls {shlex.quote(path)}', shell=True)
        """,
    )
    INVALID = (
        """
        import os

        os.system(f'python train.py --data {path}')
        """,
        """
        import subprocess

        subprocess.run('ls ' + path, shell=True)
        """,
        """
        import subprocess

        subprocess.check_output('ls {}'.format(path), shell=True)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a command line that holds unquoted values."""
        name = context.resolve(call)
        by_shell = name in _SHELLS or (name in _RUNS and constant(argument(call, "shell")) is True)
        command = argument(call, "cmd" if name in _SHELLS else "args", 0) if by_shell else None
        if command is None:
            return
        if any(not _is_quoted(value, context) for value in _values(context.value_of(command))):
            yield Spot(call, f"`{name}` gives a shell a command made of values that are not quoted")


def _values(command: ast.expr) -> list[ast.expr]:
    """Return the parts of a text that are not literal."""
    match command:
        case ast.JoinedStr(values=parts):
            return [part.value for part in parts if isinstance(part, ast.FormattedValue)]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [
                each
                for part in (left, right)
                for each in (_values(part) or ([] if isinstance(part, ast.Constant | ast.JoinedStr) else [part]))
            ]
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str()), right=ast.Tuple(elts=parts)):
            return list(parts)
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str()), right=value):
            return [value]
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format"), args=parts, keywords=named):
            return [*parts, *(keyword.value for keyword in named)]
    return []


def _is_quoted(value: ast.expr, context: FileContext) -> bool:
    value = context.value_of(value)
    if isinstance(value, ast.Constant):
        return True
    quoted = (
        context.resolve(value) in ("shlex.quote", "shlex.join", "pipes.quote") if isinstance(value, ast.Call) else False
    )
    return (
        quoted
        or context.resolve(value) in ("sys.executable", "os.getpid")
        or last_name(getattr(value, "func", None)) in ("int", "float", "len")
    )
