"""Stage 3: the files of a target joined, so that a name seen in one file leads to the class it stands for.

Resolution is a search through places ("these attributes of this module", "of this class") that visits each place
once. So a name that two modules import from each other ends instead of recursing, and where the source leaves several
candidates open the result holds all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from audit.static.builtin_names import BUILTIN_NAMES
from audit.static.installed import InstalledModules
from audit.static.modules import ModuleIndex
from audit.static.names import Base, Candidate, ClassSummary, FileSummary, Origin, StarImport
from audit.static.reads import Kept, Reads
from audit.static.sources import SourceFile
from audit.static.standard_library import STANDARD_LIBRARY
from audit.static.torch_classes import TorchClasses, load_torch_classes

# Called, these return classes that are no modules; what any other call returns is not known.
CLASS_FACTORIES = frozenset(
    {
        "collections.namedtuple",
        "enum.Enum",
        "typing.NamedTuple",
        "typing.NewType",
        "typing.TypedDict",
        "typing_extensions.NamedTuple",
        "typing_extensions.TypedDict",
    }
)
MAX_ATTRIBUTES = 32  # a name that grows while it is followed (`import a; b = a.b.c` in module `a`) stops here


class DefinitionKind(StrEnum):
    """What a name was found to be."""

    TARGET_CLASS = "target_class"  # of the target, or of an installed package whose source was read
    TARGET_MODULE = "target_module"
    TORCH_MODULE_CLASS = "torch_module_class"  # `torch.nn.Module` or a subclass of it in torch
    OTHER = "other"  # a class of torch that is no such subclass, or part of the standard library
    UNRESOLVED = "unresolved"  # outside the target, or known at run time only


@dataclass(frozen=True, slots=True, order=True)
class Definition:
    """What a name stands for. `position` is that of a class of the target in its file's `classes`, else -1."""

    kind: DefinitionKind
    name: str
    path: str = ""
    position: int = -1


@dataclass(frozen=True, slots=True)
class _Place:
    """One state of the search: `attributes` of a module, or of the class at `position` of the file at `path`."""

    attributes: tuple[str, ...]
    module: str = ""
    path: str = ""
    position: int = -1


_Step = Definition | _Place


class ProjectGraph:
    """The modules and classes of a target, by name.

    `reads` tells on behalf of which file others were looked at, as far as whoever asks says for which it asks.
    """

    def __init__(
        self,
        files: Mapping[str, FileSummary],
        sources: Iterable[SourceFile],
        *,
        torch_classes: TorchClasses | None = None,
        installed: InstalledModules | None = None,
        reads: Reads | None = None,
    ) -> None:
        """Index the summaries `files` of `sources`, by path; each is looked at when a name first leads there.

        torch's classes come from the table of this package unless others are given. Names that leave the target are
        followed into the `installed` modules, whose files are not among `files`.
        """
        self._installed = installed or InstalledModules()
        self.files = files
        self.torch_classes = torch_classes or load_torch_classes()
        self.reads = reads or Reads()
        self._modules = ModuleIndex(files, sources, installed=self._installed, reads=self.reads)
        self._known: Kept[tuple[str, Candidate], tuple[Definition, ...]] = {}

    def file_at(self, path: str) -> FileSummary | None:
        """Return the file at `path`: the target's, or an installed one that a name has led to."""
        if path:
            self.reads.note(path)
        return self.files.get(path) or self._installed.files.get(path)

    def resolve(self, name: str, *, module: str) -> tuple[Definition, ...]:
        """Return what the dotted `name` can be at the end of `module`, sorted; never empty.

        Where the target has no `module`, `name` is taken as written from the root down.
        """
        first, *rest = name.split(".")
        file = self._modules.file(module)
        if file is None:
            candidates: tuple[Candidate, ...] = (Candidate(Origin.IMPORT, module=first),)
        elif first in file.bindings:
            candidates = file.bindings[first]
        else:
            candidates = (Candidate(Origin.UNBOUND, attributes=(first,), stars=file.stars),)
        for attribute in rest:
            candidates = tuple(candidate.attribute(attribute) for candidate in candidates)
        return self._named(candidates, name=name, path=file.path if file else "")

    def base_definitions(self, base: Base, *, path: str) -> tuple[Definition, ...]:
        """Return what one base of a class in the file at `path` can be, sorted; never empty and no modules."""
        found = self._named(base.candidates, name=base.name, path=path)
        classes = tuple(definition for definition in found if definition.kind is not DefinitionKind.TARGET_MODULE)
        return classes or (Definition(DefinitionKind.UNRESOLVED, base.name),)

    def class_at(self, definition: Definition) -> ClassSummary:
        """Return the class that `definition` names; its kind must be `TARGET_CLASS`."""
        return self.class_of(definition.path, definition.position)

    def definition_at(self, path: str, position: int) -> Definition:
        """Return the class at `position` of the file at `path` as a name leads to it."""
        summary = self.class_of(path, position)
        name = f"{summary.module}.{summary.qualname}"
        return Definition(DefinitionKind.TARGET_CLASS, name, path=path, position=position)

    def class_of(self, path: str, position: int) -> ClassSummary:
        """Return the class at `position` of the file at `path`, which must have been read."""
        file = self.file_at(path)
        assert file is not None, f"{path} was not read"
        return file.classes[position]

    def _named(self, candidates: Iterable[Candidate], *, name: str, path: str) -> tuple[Definition, ...]:
        """Return what `candidates` in the file at `path` can be; what has no name of its own is called `name`."""
        found = {definition for candidate in candidates for definition in self._definitions(candidate, path)}
        named = {definition if definition.name else replace(definition, name=name) for definition in found}
        return tuple(sorted(named)) or (Definition(DefinitionKind.UNRESOLVED, name),)

    def _definitions(self, candidate: Candidate, path: str) -> tuple[Definition, ...]:
        return self.reads.answer(self._known, (path, candidate), lambda: tuple(self._search(candidate, path)))

    def _search(self, candidate: Candidate, path: str) -> Iterator[Definition]:
        seen: set[_Place] = set()
        pending = list(self._steps(candidate, path, ()))
        while pending:
            step = pending.pop()
            if isinstance(step, Definition):
                yield step
            elif step not in seen:
                seen.add(step)
                pending.extend(self._in_module(step) if step.position < 0 else self._in_class(step))

    def _steps(self, candidate: Candidate, path: str, more: tuple[str, ...]) -> Iterator[_Step]:
        """Yield where `candidate` of the file at `path` leads, and from there the attributes `more`."""
        attributes = (*candidate.attributes, *more)
        if candidate.called or len(attributes) > MAX_ATTRIBUTES:
            yield _result_of_call(candidate) if not more else Definition(DefinitionKind.UNRESOLVED, "")
            return
        match candidate.origin:
            case Origin.IMPORT:
                yield self._locate(candidate.module, attributes, path)
            case Origin.CLASS:
                yield _Place(attributes, path=path, position=candidate.definition)
            case Origin.STAR:
                yield from self._through_stars(candidate.stars, path, attributes)
            case Origin.UNBOUND:
                found = list(self._through_stars(candidate.stars, path, attributes))
                yield from found or [self._unbound(candidate.stars, path, attributes)]
            case Origin.OPAQUE:
                yield Definition(DefinitionKind.UNRESOLVED, "")

    def _locate(self, module: str, attributes: tuple[str, ...], path: str) -> _Step:
        """Return the place of a module of the target, or what its name means outside of it."""
        if not module and attributes:  # `from . import name` in a file at the root
            module, attributes = attributes[0], attributes[1:]
        found = self._modules.find(module, seen_from=self.file_at(path))
        if found is None:
            return self._external(".".join((module, *attributes)))
        return _Place((*found[1], *attributes), module=found[0])

    def _external(self, name: str) -> Definition:
        public = self.torch_classes.module_class(name)
        if public:
            return Definition(DefinitionKind.TORCH_MODULE_CLASS, public)
        if self.torch_classes.is_known(name) or name.partition(".")[0] in STANDARD_LIBRARY:
            return Definition(DefinitionKind.OTHER, name)
        return Definition(DefinitionKind.UNRESOLVED, name)

    def _in_module(self, place: _Place) -> Iterator[_Step]:
        """Yield what an attribute of a module is: what its file binds, a star import brings, else a submodule."""
        if not place.attributes:
            yield Definition(DefinitionKind.TARGET_MODULE, place.module)
            return
        name, rest = place.attributes[0], place.attributes[1:]
        own_name = f"{place.module}.{name}"
        file = self._modules.file(place.module)
        steps: list[_Step] = []
        if file and name in file.bindings:
            bound = [c for c in file.bindings[name] if (c.module, c.attributes) != (place.module, (name,))]
            steps.extend(step for candidate in bound for step in self._steps(candidate, file.path, rest))
        elif file:
            steps.extend(self._through_stars(file.stars, file.path, place.attributes))
        nameless = Definition(DefinitionKind.UNRESOLVED, "")
        if (not steps or nameless in steps) and self._modules.has(own_name):
            steps.append(_Place(rest, module=own_name))
        if nameless in steps:
            steps = [step for step in steps if step != nameless]
            steps.append(Definition(DefinitionKind.UNRESOLVED, ".".join((own_name, *rest))))
        yield from steps or [self._external(".".join((own_name, *rest)))]

    def _in_class(self, place: _Place) -> Iterator[_Step]:
        """Yield what an attribute of a class is: what its body binds, else what its bases have."""
        summary = self.class_of(place.path, place.position)
        if not place.attributes:
            yield self.definition_at(place.path, place.position)
        elif place.attributes[0] in summary.bindings:
            for candidate in summary.bindings[place.attributes[0]]:
                yield from self._steps(candidate, place.path, place.attributes[1:])
        else:
            for candidate in (candidate for base in summary.bases for candidate in base.candidates):
                yield from self._steps(candidate, place.path, place.attributes)
            if not summary.bases:
                yield Definition(DefinitionKind.UNRESOLVED, ".".join((summary.qualname, *place.attributes)))

    def _through_stars(self, stars: tuple[StarImport, ...], path: str, attributes: tuple[str, ...]) -> Iterator[_Step]:
        """Yield what star imports bind the first attribute to; the last one that surely ran hides those before it."""
        file = self.file_at(path)
        for star in reversed(stars):
            found = self._modules.find(star.module, seen_from=file)
            if found and not found[1]:
                exported = self._modules.exports(found[0], attributes[0])
            else:
                exported = self.torch_classes.is_known(f"{star.module}.{attributes[0]}")
            if exported:
                yield self._locate(star.module, attributes, path)
                if star.certain:
                    return

    def _unbound(self, stars: tuple[StarImport, ...], path: str, attributes: tuple[str, ...]) -> Definition:
        """Return what a name is that neither the file nor a star import from the target binds."""
        if attributes[0] in BUILTIN_NAMES:
            return Definition(DefinitionKind.OTHER, ".".join(("builtins", *attributes)))
        file = self.file_at(path)
        outside = [star.module for star in stars if self._modules.find(star.module, seen_from=file) is None]
        unknown = [module for module in outside if module.partition(".")[0] not in STANDARD_LIBRARY]
        for module in (*unknown[-1:], *outside[-1:]):
            return self._external(".".join((module, *attributes)))
        return Definition(DefinitionKind.UNRESOLVED, "")


def _result_of_call(candidate: Candidate) -> Definition:
    """Return what calling `candidate` gives; only what is called by its full name is known."""
    function = ".".join(filter(None, (candidate.module, *candidate.attributes)))
    if candidate.origin is not Origin.IMPORT:
        return Definition(DefinitionKind.UNRESOLVED, "")
    kind = DefinitionKind.OTHER if function in CLASS_FACTORIES else DefinitionKind.UNRESOLVED
    return Definition(kind, f"{function}()")
