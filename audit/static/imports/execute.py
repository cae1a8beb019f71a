"""Runs the steps of a program; what is not certain is tried and does not fail the import."""

from collections.abc import Callable, Sequence
from functools import partial

from audit.static.imports.causes import Cause, Failure
from audit.static.imports.evaluate import Evaluator
from audit.static.imports.importing import Importer
from audit.static.imports.installed import absolute
from audit.static.imports.machine import Frame, Raised, catches
from audit.static.imports.program import (
    Anything,
    Assign,
    Attribute,
    Bind,
    Block,
    Define,
    Delete,
    Evaluate,
    Expression,
    Handler,
    If,
    Import,
    ImportFrom,
    Name,
    Perhaps,
    Raise,
    Reading,
    Return,
    Step,
    Try,
    Use,
)
from audit.static.imports.trial import DIED
from audit.static.imports.values import (
    NONE,
    PERHAPS,
    SOMETHING,
    UNKNOWN,
    Known,
    Module,
    OwnFunction,
    Space,
    Tuple,
    Value,
    merged,
    truth,
)
from audit.static.imports.world import TargetModule

_MAX_CALL_DEPTH = 12
_MISSING = Failure("ModuleNotFoundError", Cause.MISSING_DEPENDENCY, "", 0, "")
_State = tuple[Space, dict[str, Value]]


class Executor:
    """Runs modules for an importer, and the functions of the target that their conditions call."""

    def __init__(self, importer: Importer) -> None:
        """Become what `importer` runs programs with."""
        self._importer = importer
        self._evaluator = Evaluator(importer, self._call)
        self._swallowed: list[Failure] = []  # what uncertain branches raised
        self._depth = 0
        self._answers: dict[tuple[OwnFunction, tuple[Value, ...]], Value] = {}
        importer.execute = self.run_module

    def end(self) -> None:
        """Let go of the importer: what holds itself stays for ever where the collector of garbage is off."""
        del self._importer.execute, self._evaluator

    def run_module(self, target: TargetModule, space: Space) -> None:
        """Run a module's program; raises `Raised` where its import certainly fails."""
        if program := target.program:
            frame = Frame(target.module, target.path, target.is_package, space)
            self._block(program.body, frame)

    def _block(self, steps: Block, frame: Frame) -> Value | None:
        """Run steps; return what a `return` among them gives."""
        for step in steps:
            value = self._step(step, frame)
            if value is not None:
                return value
        return None

    def _step(self, step: Step, frame: Frame) -> Value | None:
        match step:
            case Import():
                self._import(step, frame)
            case ImportFrom():
                self._import_from(step, frame)
            case Assign():
                self._assign(step, frame)
            case Bind(names=names):
                for name in names:
                    self._bind(name, SOMETHING if len(names) == 1 else UNKNOWN, frame)
            case Define(name=name, function=position):
                self._bind(name, OwnFunction(frame.module, position), frame)
            case Delete(names=names):
                for name in names:
                    frame.space.names.pop(name, None)
            case Use():
                self._use(step, frame)
            case Evaluate(line=line, value=value):
                self._evaluator.value(value, frame, line)
            case If(test=test, body=body, orelse=orelse):
                return self._if(test, body, orelse, frame)
            case Try():
                return self._try(step, frame)
            case Perhaps(bodies=bodies):
                return self._perhaps([lambda: None, *(partial(self._block, body, frame) for body in bodies)], frame)
            case Raise():
                raise Raised(self._raised(step, frame))
            case Return(value=value):
                return self._evaluator.value(value, frame, 0)
            case Anything():
                frame.space.open = True
        return None

    def _bind(self, name: str, value: Value, frame: Frame) -> None:
        if frame.locals is not None and name in frame.local_names:
            frame.locals[name] = value
        elif name:
            frame.space.names[name] = value

    def _import(self, step: Import, frame: Frame) -> None:
        if not frame.module.startswith(f"{step.module}."):  # what a module is in runs or has run before it anyway
            self._importer.note_unfinished(step.module)
        self._importer.load(step.module, (frame.path, step.line))
        if step.alias is None:
            top = step.module.partition(".")[0]
            self._bind(top, Module(top), frame)
        else:
            self._bind(step.alias, Module(step.module), frame)

    def _import_from(self, step: ImportFrom, frame: Frame) -> None:
        place = (frame.path, step.line)
        module = absolute(step.module, step.level, frame.module, is_package=frame.is_package)
        if module is None:
            name = "." * step.level + step.module
            raise Raised(Failure("ImportError", Cause.RELATIVE_IMPORT, *place, name))
        self._importer.load(module, place)
        for name, bound in step.names:
            if name == "*":
                self._importer.star(module, frame.space, place)
            else:
                value = self._importer.take(module, name, place)
                self._bind(bound, self._evaluator.constant_of(value), frame)

    def _assign(self, step: Assign, frame: Frame) -> None:
        value = self._evaluator.value(step.value, frame, step.line)
        if len(step.names) == 1:
            self._bind(step.names[0], value if value != PERHAPS else UNKNOWN, frame)
            return
        parts = value.parts if isinstance(value, Tuple) and len(value.parts) == len(step.names) else None
        for place, name in enumerate(step.names):
            self._bind(name, parts[place] if parts else UNKNOWN, frame)

    def _use(self, step: Use, frame: Frame) -> None:
        first, *rest = step.names
        place = (frame.path, step.line)
        value = self._evaluator.lookup(first, frame)
        if value is None:
            if not frame.space.open and not first.startswith("__"):
                raise Raised(Failure("NameError", self._why_unbound(first, frame), *place, first))
            return
        for name in rest:
            if value == NONE:
                raise Raised(Failure("AttributeError", Cause.BROKEN_FALLBACK, *place, first))
            if not isinstance(value, Module):
                return
            if not self._importer.is_of_target(value.name):
                if self._importer.lacks_outside(value.name, name):
                    lacked = f"{value.name}.{name}"
                    raise Raised(Failure("AttributeError", Cause.MISSING_SYMBOL, *place, lacked))
                return
            owner = value.name
            inner = self._importer.get(owner, name, place)
            if inner is None:
                if self._importer.is_of_target(f"{owner}.{name}"):
                    return  # a submodule that something not seen here may have loaded
                raise Raised(self._importer.lacking(owner, name, place, "AttributeError"))
            value = inner
        if value == NONE and step.reading is not Reading.VALUE:
            raise Raised(Failure("TypeError", Cause.BROKEN_FALLBACK, *place, first))

    def _why_unbound(self, name: str, frame: Frame) -> Cause:
        program = self._importer.targets[frame.module].program
        return Cause.BROKEN_FALLBACK if program and name in program.names else Cause.UNDEFINED_NAME

    def _if(self, test: Expression, body: Block, orelse: Block, frame: Frame) -> Value | None:
        decided = truth(self._evaluator.value(test, frame, 0))
        if decided is None:
            return self._perhaps([lambda: self._block(body, frame), lambda: self._block(orelse, frame)], frame)
        return self._block(body if decided else orelse, frame)

    def _try(self, step: Try, frame: Frame) -> Value | None:
        try:
            value = self._guarded(step, frame)
        except Raised:
            self._block(step.final, frame)
            raise
        last = self._block(step.final, frame)
        return value if last is None else last

    def _guarded(self, step: Try, frame: Frame) -> Value | None:
        mark, doubts = len(self._swallowed), self._evaluator.doubts
        catches_missing = any(_catches(handler, _MISSING) for handler in step.handlers)
        caught: tuple[Handler, Failure] | None = None
        self._importer.guards += catches_missing
        try:
            value = self._block(step.body, frame)
        except Raised as raised:
            handler = next((each for each in step.handlers if _catches(each, raised.failure)), None)
            if handler is None:
                raise
            caught = handler, raised.failure
        finally:
            self._importer.guards -= catches_missing
        if caught:
            return self._handle(*caught, frame)
        bodies: list[Callable[[], Value | None]] = [
            lambda: self._block(step.orelse, frame) if value is None else value
        ]  # fmt: skip
        for handler in step.handlers:
            swallowed = next((each for each in self._swallowed[mark:] if _catches(handler, each)), None)
            if swallowed or self._evaluator.doubts > doubts:
                bodies.append(partial(self._handle, handler, swallowed, frame))
        return bodies[0]() if len(bodies) == 1 else self._perhaps(bodies, frame)

    def _handle(self, handler: Handler, failure: Failure | None, frame: Frame) -> Value | None:
        if failure:
            self._importer.guarded.setdefault(frame.module, failure)
            frame.handling.append((handler.name, failure))
        if handler.name:
            self._bind(handler.name, SOMETHING, frame)
        try:
            value = self._block(handler.body, frame)
        finally:
            if failure:
                frame.handling.pop()
        if handler.name:
            frame.space.names.pop(handler.name, None)
        return value

    def _raised(self, step: Raise, frame: Frame) -> Failure:
        if frame.handling:
            name, failure = frame.handling[-1]
            if step.exception in ("", name):
                return failure
            # What a handler raises is told in other words, but its root is what was caught.
            return Failure(step.exception, failure.cause, failure.path, failure.line, failure.name)
        shown = f"{step.exception}: {step.message}" if step.message else step.exception
        return Failure(step.exception or "RuntimeError", Cause.RAISED, frame.path, step.line, shown)

    def _perhaps(self, bodies: Sequence[Callable[[], Value | None]], frame: Frame) -> Value | None:
        """Run bodies of which one runs, not known which: it fails where all of them do."""
        before, ends, failures, returned = _state(frame), list[_State](), list[Failure](), list[Value]()
        for body in bodies:
            _restore(frame, before)
            self._importer.guards += 1
            try:
                value = body()
            except Raised as raised:
                failures.append(raised.failure)
                continue
            finally:
                self._importer.guards -= 1
            if value is None:
                ends.append(_state(frame))
            else:
                returned.append(value)
        if not ends and not returned:
            raise Raised(failures[0])
        for failure in failures:
            self._importer.guarded.setdefault(frame.module, failure)
        self._swallowed.extend(failures)
        if not ends:
            first, *others = returned
            for other in others:
                first = merged(first, other)
            return first
        frame.perhaps.extend(returned)
        _restore(frame, ends[0])
        for space, names in ends[1:]:
            frame.space.take(frame.space.copy(), space)
            if frame.locals is not None:
                frame.locals = {
                    name: merged(frame.locals.get(name), names.get(name)) for name in {**frame.locals, **names}
                }
        return None

    def _call(self, function: OwnFunction, arguments: tuple[Value, ...], named: dict[str, Value]) -> Value:
        """Return what a function of the target gives; one that is too deep may give anything."""
        target = self._importer.targets[function.module]
        space = self._importer.space_to_change(function.module)
        program = target.program
        if space is None or program is None or self._depth >= _MAX_CALL_DEPTH:
            self._evaluator.doubts += 1
            return UNKNOWN
        key = (function, (*arguments, *(value for _, value in sorted(named.items()))))
        if key in self._answers and not named:
            return self._answers[key]
        code = program.functions[function.position]
        frame = Frame(function.module, target.path, target.is_package, space, {}, code.local_names)
        values = {name: self._evaluator.value(default, frame, 0) for name, default in code.defaults}
        values |= dict(zip(code.parameters, arguments, strict=False)) | named
        frame.locals = dict(values)
        doubts = self._evaluator.doubts
        self._depth += 1
        try:
            result = self._block(code.body, frame)
        except Raised as raised:
            if not frame.perhaps:
                raise
            self._swallowed.append(raised.failure)  # it may have returned before
            result = frame.perhaps[0]
        finally:
            self._depth -= 1
        value: Value = Known(None) if result is None else result
        for other in frame.perhaps:
            value = merged(value, other)
        if self._evaluator.doubts == doubts and not named and function.module not in self._importer.running:
            self._answers[key] = value
        return value


def _state(frame: Frame) -> _State:
    return frame.space.copy(), dict(frame.locals or {})


def _restore(frame: Frame, state: _State) -> None:
    frame.space.names = dict(state[0].names)
    frame.space.open = state[0].open
    if frame.locals is not None:
        frame.locals = dict(state[1])


def _catches(handler: Handler, failure: Failure) -> bool:
    """Whether a handler catches; where that is not known, it does. Nothing catches the end of the process."""
    if failure.exception == DIED:
        return False
    return not handler.types or any(catches(_dotted(each), failure.exception) is not False for each in handler.types)


def _dotted(node: Expression) -> str:
    match node:
        case Name(name=name):
            return name
        case Attribute(owner=owner, name=name):
            return f"{_dotted(owner)}.{name}"
    return ""
