"""What an expression gives during a simulated import."""

from collections.abc import Callable

from audit.static.imports.causes import Cause, Failure
from audit.static.imports.importing import Importer
from audit.static.imports.known_calls import (
    attribute_of_constant,
    builtin_call,
    compared,
    constants,
    external_call,
    method_call,
)
from audit.static.imports.machine import Frame, Raised
from audit.static.imports.program import (
    Attribute,
    Call,
    Choice,
    Compare,
    Constant,
    Either,
    Expression,
    Group,
    Item,
    Name,
    Not,
)
from audit.static.imports.values import (
    UNKNOWN,
    Known,
    Method,
    Module,
    Outside,
    OwnFunction,
    Tuple,
    Value,
    merged,
    truth,
)

CallFunction = Callable[[OwnFunction, tuple[Value, ...], dict[str, Value]], Value]
_IMPORTING = frozenset({"importlib.import_module", "builtins.__import__"})
_FIND_SPEC = frozenset({"importlib.util.find_spec", "importlib.find_loader", "pkgutil.find_loader"})


class Evaluator:
    """Evaluates expressions in a frame. `doubts` counts the calls of which it is not known what they do."""

    def __init__(self, importer: Importer, call_function: CallFunction) -> None:
        """Evaluate with these modules; functions of the target are called by `call_function`."""
        self.doubts = 0
        self._importer = importer
        self._call_function = call_function
        self._constants = constants(importer.facts)

    def value(self, node: Expression, frame: Frame, line: int) -> Value:
        """Return what an expression gives; raises `Raised` where it certainly raises."""
        match node:
            case Constant(value=constant):
                return Known(constant)
            case Name(name=name):
                return self.lookup(name, frame) or UNKNOWN
            case Attribute(owner=owner, name=name):
                return self.attribute(self.value(owner, frame, line), name, frame, line) or UNKNOWN
            case Call():
                return self._call(node, frame, line)
            case Not(operand=operand):
                decided = truth(self.value(operand, frame, line))
                return UNKNOWN if decided is None else Known(not decided)
            case Either(parts=parts, every=every):
                return self._either(parts, frame, line, every=every)
            case Compare(left=left, operator=operator, right=right):
                result = compared(self.value(left, frame, line), operator, self.value(right, frame, line))
                return UNKNOWN if result is None else Known(result)
            case Group(parts=parts):
                return Tuple(tuple(self.value(part, frame, line) for part in parts))
            case Item(owner=owner, index=index):
                return _item(self.value(owner, frame, line), self.value(index, frame, line))
            case Choice(test=test, body=body, orelse=orelse):
                decided = truth(self.value(test, frame, line))
                if decided is None:
                    return merged(self._quietly(body, frame, line), self._quietly(orelse, frame, line))
                return self.value(body if decided else orelse, frame, line)
        return UNKNOWN

    def lookup(self, name: str, frame: Frame) -> Value | None:
        """Return what a name holds; None where it is bound nowhere."""
        if frame.locals is not None and name in frame.local_names:
            return frame.locals.get(name)
        if name in frame.space.names:
            return frame.space.names[name]
        if name == "__name__":
            return Known(frame.module)
        return Outside(f"builtins.{name}") if name in self._importer.facts.builtin_names else None

    def attribute(self, owner: Value, name: str, frame: Frame, line: int) -> Value | None:
        """Return an attribute; None where a module of the target certainly lacks it."""
        match owner:
            case Module(name=module) if self._importer.is_of_target(module):
                return self._importer.get(module, name, (frame.path, line))
            case Module(name=outer) | Outside(name=outer):
                return self._of_outside(f"{outer}.{name}")
        return attribute_of_constant(owner, name)

    def _of_outside(self, name: str) -> Value:
        if name in self._constants:
            return self._constants[name]
        module, _, attribute = name.rpartition(".")
        version = self._importer.facts.version_of.get(module.lower().replace("_", "-"))
        return Known(version) if attribute == "__version__" and version else Outside(name)

    def constant_of(self, value: Value) -> Value:
        """Return the constant that a name imported from outside stands for, else the value itself."""
        return self._of_outside(value.name) if isinstance(value, Outside) else value

    def _either(self, parts: tuple[Expression, ...], frame: Frame, line: int, *, every: bool) -> Value:
        open_part: Value | None = None
        for part in parts:
            value = self._quietly(part, frame, line) if open_part else self.value(part, frame, line)
            decided = truth(value)
            if decided is not None and decided is not every:
                return value if open_part is None else Known(decided)
            if decided is None:
                open_part = value
        return UNKNOWN if open_part else value

    def _quietly(self, node: Expression, frame: Frame, line: int) -> Value:
        """Evaluate what may not be evaluated at all: what it raises is not certain."""
        self._importer.guards += 1
        try:
            return self.value(node, frame, line)
        except Raised:
            return UNKNOWN
        finally:
            self._importer.guards -= 1

    def _call(self, node: Call, frame: Frame, line: int) -> Value:
        function = self.value(node.function, frame, line)
        arguments = tuple(self.value(argument, frame, line) for argument in node.arguments)
        named = {name: self.value(value, frame, line) for name, value in node.keywords}
        match function:
            case OwnFunction():
                return self._call_function(function, arguments, named)
            case Method():
                return method_call(function, arguments)
            case Outside(name=name) | Module(name=name):
                return self._call_outside(name, arguments, frame, line)
        self.doubts += 1
        return UNKNOWN

    def _call_outside(self, name: str, arguments: tuple[Value, ...], frame: Frame, line: int) -> Value:
        place = (frame.path, line)
        if name in _FIND_SPEC and len(arguments) == 1:
            return self._find_spec(arguments[0], place)
        if name in _IMPORTING and arguments:
            return self._import_module(arguments, place)
        if name in ("builtins.hasattr", "builtins.getattr"):
            return self._has_or_get(name, arguments, frame, line)
        if name.startswith("builtins."):
            return builtin_call(name.removeprefix("builtins."), arguments)
        result = external_call(name, arguments, self._importer.facts)
        if isinstance(result, str):
            raise Raised(Failure(result, Cause.RAISED, *place, f"{name}({_shown(arguments)})"))
        self.doubts += result == UNKNOWN and not name.startswith(("logging.", "warnings."))
        return result

    def _find_spec(self, argument: Value, place: tuple[str, int]) -> Value:
        if not (isinstance(argument, Known) and isinstance(argument.value, str)) or argument.value.startswith("."):
            self.doubts += 1
            return UNKNOWN
        module = argument.value
        parent = module.rpartition(".")[0]
        if parent:
            self._importer.load(parent, place)
        found = self._importer.is_of_target(module) or self._importer.installed.find(module)
        return Known(True if found else None)

    def _import_module(self, arguments: tuple[Value, ...], place: tuple[str, int]) -> Value:
        match arguments[0]:
            case Known(value=str(module)) if module and not module.startswith("."):
                self._importer.load(module, place)
                return Module(module)
            case Known(value=str(module)) if len(arguments) == 2 and module[1:2] != ".":
                match arguments[1]:
                    case Known(value=str(package)):
                        self._importer.load(package + module, place)
                        return Module(package + module)
        self.doubts += 1
        self._importer.note_unknown_import()
        return UNKNOWN

    def _has_or_get(self, function: str, arguments: tuple[Value, ...], frame: Frame, line: int) -> Value:
        match arguments:
            case [Module(name=module) as owner, Known(value=str(name)), *default]:
                found: Value | None = self.attribute(owner, name, frame, line)
                if not self._importer.is_of_target(module) and self._importer.lacks_outside(module, name):
                    found = None
                if function == "builtins.getattr":
                    return found or (*default, UNKNOWN)[0]
                return Known(False) if found is None else UNKNOWN
        return UNKNOWN


def _item(owner: Value, index: Value) -> Value:
    match owner, index:
        case Tuple(parts=parts), Known(value=int(place)) if -len(parts) <= place < len(parts):
            return parts[place]
    return UNKNOWN


def _shown(arguments: tuple[Value, ...]) -> str:
    return ", ".join(str(argument.value) for argument in arguments if isinstance(argument, Known))
