"""The import system as Python has it, over programs of the target and what is on the interpreter's path."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from audit.static.imports.causes import Cause, Failure
from audit.static.imports.installed import absolute
from audit.static.imports.machine import Kept, Memory, Raised, Trace
from audit.static.imports.program import NOTHING, Program
from audit.static.imports.values import PERHAPS, UNKNOWN, Module, Outside, Space, Value
from audit.static.imports.world import TargetModule, World, parents

Place = tuple[str, int]  # file of the target, line


def _nothing_kept(module: str) -> Kept | None:
    return None


class Importer:
    """Loads modules in one process. `execute` runs the program of one in a space; whoever runs programs sets it.

    What earlier processes found out of a module is asked of `before`. `read` are the modules of the target of which
    that was asked, and `used` those whose programs were; the course depends on nothing else of the target. `written`
    is what it has found out itself.
    """

    execute: Callable[[TargetModule, Space], None]

    def __init__(
        self,
        world: World,
        *,
        loaded: Iterable[str] = (),
        is_unordered: bool = False,
        before: Callable[[str], Kept | None] = _nothing_kept,
    ) -> None:
        """Begin in a process that has loaded these modules of the target, and others where it `is_unordered`."""
        self.targets = world.targets
        self.installed = world.outside.installed
        self.facts = world.outside.facts
        self.loaded = set(loaded)
        self.is_unordered = is_unordered  # any module of the target may have been loaded, by a name that is not known
        self.running: dict[str, Space] = {}
        self.guarded: dict[str, Failure] = {}
        self.guards = 0  # what surrounds the present step and goes on where an import fails
        self.read: set[str] = set()
        self.used: set[str] = set()
        self.written: dict[str, Kept] = {}
        self._before = before
        self._outside = world.outside
        self._folders = world.folders
        self._tops = world.tops
        self._passes_missing = world.passes_missing
        self._traces = [Trace()]
        self._own: set[str] = set()  # modules whose names this process may change

    def kept(self, module: str) -> Kept | None:
        """Return what is known of a module from an earlier run of it, in this process or another."""
        self.read.add(module)
        return self.written.get(module) or self._before(module)

    def note_unknown_import(self) -> None:
        """Note that something is imported of which the name is not known."""
        self.is_unordered = self._traces[-1].unordered = True

    def note_unfinished(self, module: str) -> None:
        """Note that what runs now may depend on whether this module has finished."""
        if module in self.running:
            self._traces[-1].observed.add(module)

    @property
    def passed(self) -> frozenset[str]:
        """The packages that are not installed and whose imports went on since the process began."""
        return frozenset(self._traces[0].passed)

    @property
    def _is_guarded(self) -> bool:
        """Whether imports end otherwise here than elsewhere, for a guard surrounds the present step."""
        return self._passes_missing and self.guards > 0

    def is_of_target(self, module: str) -> bool:
        """Whether the target has a file or folder for `module`."""
        return module in self.targets or module in self._folders

    def load(self, module: str, place: Place) -> None:
        """Import a module after the packages that it is in, or raise what that raises."""
        for name in (*parents(module), module):
            self._load_one(name, place)

    def _load_one(self, module: str, place: Place) -> None:
        trace = self._traces[-1]
        if module in self.running or module in self._folders:
            return
        target = self.targets.get(module)
        kept = self.kept(module) if target else None
        if module in self.loaded:
            trace.reached |= kept.reach if kept else {module}
            trace.passed |= kept.passed if kept else frozenset()
        elif target:
            memory = (kept.guarded if self._is_guarded else kept.memory) if kept else None
            if memory and memory.reached.isdisjoint(self.running) and not self._is_outdated(memory):
                self._recall(memory)
            else:
                self._run(target)
        elif self.installed.find(module) is None:
            missing = self._missing(module, place)
            if missing.cause is not Cause.MISSING_MODULE or not self._outside.patched.stands_in(module):
                self._fail(missing)
        elif failure := self._failing_outside(module, place):
            self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if not self._passes_missing or self.guards or not failure.cause.is_of_the_environment:
            raise Raised(failure)
        self._traces[-1].passed.add(failure.name)

    def _is_outdated(self, memory: Memory) -> bool:
        """Whether a cycle failed in an order of imports that is not known to be the present one."""
        return self.is_unordered and memory.failure is not None and memory.failure.cause is Cause.CIRCULAR

    def _recall(self, memory: Memory) -> None:
        trace = self._traces[-1]
        trace.reached |= memory.reached
        trace.failed |= memory.reached - memory.loaded
        trace.passed |= memory.passed
        self.loaded |= memory.loaded
        if memory.unordered:
            self.note_unknown_import()
        if memory.failure:
            raise Raised(memory.failure)

    def _run(self, target: TargetModule) -> None:
        module = target.module
        self.used.add(module)
        space = self.running[module] = Space(dict.fromkeys(_may_bind(target), PERHAPS), open=target.program is None)
        trace = Trace(reached={module})
        self._traces.append(trace)
        failure = target.failure
        kept = self.kept(module) or Kept(None, None, frozenset())
        try:
            if failure:
                raise Raised(failure)
            self.execute(target, space)
            self.loaded.add(module)
            kept = replace(kept, space=space)
            self._own.add(module)
        except Raised as raised:
            failure = raised.failure
            trace.failed.add(module)
            raise
        finally:
            self._traces.pop()
            del self.running[module]
            trace.observed.discard(module)
            kept = replace(kept, reach=frozenset(trace.reached), passed=frozenset(trace.passed))
            if not trace.observed:
                loaded = kept.reach - trace.failed if trace.failed else kept.reach  # one set, not two alike
                memory = Memory(failure, kept.reach, loaded, kept.passed, trace.unordered)
                kept = replace(kept, guarded=memory) if self._is_guarded else replace(kept, memory=memory)
            self.written[module] = kept
            self._traces[-1].add(trace)

    def _failing_outside(self, module: str, place: Place) -> Failure | None:
        """Return why an installed module cannot be imported, as far as that is known without running it."""
        outside = self._outside
        top = module.partition(".")[0]
        if trial := outside.not_loading.get(top):
            if trial.lacked:
                return Failure(trial.exception, Cause.BROKEN_DEPENDENCY, *place, f"{top} (needs {trial.lacked})")
            name = f"{top} ({trial.exception}{': ' if trial.exception else ''}{trial.message})"
            return Failure(trial.exception, Cause.BINARY_DOES_NOT_LOAD, *place, name)
        if outside.hiding and (hidden := outside.hiding & outside.dependencies.tops(module)):
            name = f"{min(hidden)}, which {top} imports" if top not in hidden else top
            return Failure("ImportError", Cause.SHADOWED, *place, name)
        if unmet := outside.dependencies.unmet(module):
            name = f"{unmet.by.partition('.')[0]} (needs {unmet.missing})"
            return Failure("ModuleNotFoundError", Cause.BROKEN_DEPENDENCY, *place, name)
        return None

    def _missing(self, module: str, place: Place) -> Failure:
        top, _, rest = module.partition(".")
        if top in self._outside.off_path:
            cause = Cause.NOT_ON_PATH
        elif top in self._outside.hiding:
            cause = Cause.SHADOWED
        elif top in self._tops:
            cause = Cause.LOCAL_MODULE_MISSING
        elif rest and self.installed.find(top):
            cause = Cause.MISSING_MODULE
        elif top in self.facts.standard_library or self._outside.declared.is_of_some_platforms(top):
            cause = Cause.PLATFORM_ONLY
        else:
            cause = Cause.MISSING_DEPENDENCY if self._outside.declared.declares(top) else Cause.UNDECLARED_DEPENDENCY
        name = top if cause.is_of_the_environment else module
        return Failure("ModuleNotFoundError", cause, *place, name)

    def space(self, module: str) -> Space | None:
        """Return the names of a module of the target that runs or has run."""
        if module in self.running:
            return self.running[module]
        kept = self.kept(module) if module in self.targets else None
        return kept.space if kept else None

    def space_to_change(self, module: str) -> Space | None:
        """Return the names of a module for a call of one of its functions; other processes keep what they have."""
        self.used.add(module)
        space = self.space(module)
        if space and module not in self.running and module not in self._own:
            space = space.copy()
            self._own.add(module)
            self.written[module] = replace(self.kept(module) or Kept(None, None, frozenset()), space=space)
        return space

    def unlike_before(self) -> dict[str, Kept]:
        """Return what of `written` is news."""
        return {module: kept for module, kept in self.written.items() if kept != self._before(module)}

    def get(self, module: str, name: str, place: Place) -> Value | None:
        """Return an attribute of a module of the target; None where it certainly has none of this name."""
        self.note_unfinished(module)
        space = self.space(module)
        if space and name in space.names:
            return space.names[name]
        inner = f"{module}.{name}"
        if self.is_of_target(inner) and (inner in self.loaded or inner in self.running or inner in self._folders):
            self.note_unfinished(inner)
            return Module(inner)
        if space and module not in self.running and self._does_not_offer(module, name):
            return None
        if space is None or space.open or "__getattr__" in space.names:
            self._load_lazily(module, name, place)
            return UNKNOWN
        if self.is_unordered and module in self.running and name in self.program(module).names:
            return UNKNOWN  # it may have been loaded before whatever runs now
        return UNKNOWN if name.startswith("__") else None

    def _does_not_offer(self, module: str, name: str) -> bool:
        """Whether a module has replaced itself with a lazy one that certainly has no such name."""
        program = self.program(module)
        if program.offers is None or name.startswith("__") or name in program.offers:
            return False
        return all(bound not in (name, "*") for bound, *_ in program.lazily)

    def take(self, module: str, name: str, place: Place) -> Value:
        """Return what `from module import name` binds, or raise what it raises; `module` is loaded."""
        inner = f"{module}.{name}"
        if not self.is_of_target(module):
            if self.lacks_outside(module, name):
                raise Raised(Failure("ImportError", Cause.MISSING_SYMBOL, *place, inner))
            return Outside(inner)
        found = self.get(module, name, place)
        if found is not None:
            return found
        is_package = module in self._folders or self.targets[module].is_package
        may_be_module = self.is_of_target(inner) or not self._does_not_offer(module, name)
        if is_package and may_be_module and (self.is_of_target(inner) or self.installed.find(inner)):
            self.load(inner, place)
            return Module(inner)
        raise Raised(self.lacking(module, name, place, "ImportError"))

    def lacks_outside(self, module: str, name: str) -> bool:
        """Whether a module of others certainly has no such name, and the target does not give it one."""
        return self.installed.lacks(module, name) and not self._outside.patched.sets(name)

    def lacking(self, module: str, name: str, place: Place, exception: str) -> Failure:
        """Return the failure of reading a name that a module of the target has not, or has not yet."""
        program = self.program(module)
        unfinished = module in self.running and name in program.names
        cause = Cause.CIRCULAR if unfinished else Cause.LOCAL_SYMBOL_MISSING
        if module.partition(".")[0] in self._outside.hiding:
            cause = Cause.SHADOWED
        return Failure(exception, cause, *place, f"{module}.{name}")

    def star(self, module: str, into: Space, place: Place) -> None:
        """Bind what `from module import *` binds; `module` is loaded."""
        space = self.space(module)
        if space is None:
            into.open = True
            return
        self.note_unfinished(module)
        program = self.program(module)
        into.open = into.open or space.open or "__getattr__" in space.names
        if program.exports is None or "__all__" not in space.names:  # it is not bound yet where the module still runs
            public = {name: value for name, value in space.names.items() if "__all__" in space.names or name[0] != "_"}
            into.names.update(public)
            return
        for name in program.exports:
            into.names[name] = self.take(module, name, place)

    def _load_lazily(self, module: str, name: str, place: Place) -> None:
        """Load the submodule from which a package takes a name on first use, as its type checker's branch says."""
        target = self.targets.get(module)
        program = self.program(module)
        if target is None:
            return
        for bound, level, origin, original in program.lazily:
            if bound != name and original != "*":
                continue  # thousands are of other names
            source = absolute(origin, level, module, is_package=target.is_package)
            if source is None or not self.is_of_target(source):
                continue
            if bound == name and original != "*":
                self.load(source if source != module else f"{module}.{original}", place)
                return
            if original == "*" and name in (self.program(source).exports or ()):
                self.load(source, place)
                return

    def program(self, module: str) -> Program:
        """Return what importing a module of the target does; nothing, where that is not known."""
        self.used.add(module)
        target = self.targets.get(module)
        return (target.program if target else None) or NOTHING


def _may_bind(target: TargetModule) -> frozenset[str]:
    return target.program.may_bind if target.program else frozenset()
