"""Reads what the target's specs declare, and says of each entry why it cannot be used."""

import ast
import re
from collections.abc import Mapping

from pydantic import ValidationError

from audit.attention.contract import read_contract
from audit.catalog import HOW_TO_DECLARE, Catalog, Section, SpecEntry, Undeclared
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.judgement import error, failed
from audit.near import nearest
from audit.raised import describe_failure, describe_raised, location_of
from audit.results import Location
from audit.static.reading import tree_of
from audit.target import Target
from audit.unfilled import line_of_section, lines_of_dots, lines_of_entries

_NO_SECTION = re.compile(r"([A-Z]+) must be a dict of entries by name, ")
_SECTIONS: tuple[Section, ...] = ("models", "attention", "data", "training")


def read_catalog(target: Target, probe: Probe) -> Catalog:
    """Import the target's specs in the probe and return what they declare.

    Raises:
        Undeclared: no specs are configured, or they could not be read.
    """
    if target.settings.specs is None:
        raise Undeclared(error("the target declares no specs, so no model was built", fix=HOW_TO_DECLARE))
    try:
        reply = probe.call("describe_specs", module=target.settings.specs)
        catalog = Catalog.model_validate(reply)
    except ProbeFailure as failure:
        raise Undeclared(error(f"specs {target.settings.specs}: {describe_failure(failure, target)}")) from failure
    except TargetRaised as raised:
        reason = f"specs {target.settings.specs}: {describe_raised(raised, target)}"
        place = location_of(raised, target)
        # That there is no such module is a mistake in the configuration, and nothing that the specs do.
        missing = _is_missing(target.settings.specs, raised)
        no_section = _NO_SECTION.match(raised.message)
        if no_section and place is None:
            place = _place_of_section(target, no_section[1])
        judge = error if raised.is_of_the_machine or missing or no_section else failed
        fix = _how_to_uncover(target, target.settings.specs) if missing else None
        raise Undeclared(judge(reason, location=place, fix=fix)) from raised
    except ValidationError as invalid:
        raise Undeclared(
            error(f"specs {target.settings.specs}: unreadable reply: {invalid.errors()[0]['msg']}")
        ) from invalid
    return _with_problems(catalog, target)


def _is_missing(specs: str, raised: TargetRaised) -> bool:
    """Whether an exception says that the specs module, or a package around it, is not there."""
    parts = specs.split(".")
    names = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    said = raised.message.partition(";")[0]  # behind it: a package around it is a module
    return raised.type_name == "ModuleNotFoundError" and said in {f"No module named {name!r}" for name in names}


def _how_to_uncover(target: Target, specs: str) -> str | None:
    """Return what to do where the specs' file is there and an import does not find it; None where it is not there."""
    first, *inner = specs.split(".")
    if not inner or target.file_of(specs) is None:
        return None
    return f"rename {first}: another module of its name, in the standard library or installed, is found first"


def _with_problems(catalog: Catalog, target: Target) -> Catalog:
    """Return the catalogue, in which an entry that cannot be used says why."""
    models = catalog.models or {}
    tree = _tree(target)
    dots = _dots_left(tree)
    lines = lines_of_entries(tree, _SECTIONS) if tree else {}
    for section in _SECTIONS:
        entries = catalog.entries(section)
        found = {}
        for name, entry in (entries or {}).items():
            problem = entry.problem or dots.get((section, name))
            problem = problem or (_left_to_none(name, models) if section == "models" else None)
            problem = problem or _of_contract(entry, section)
            if problem:
                names_its_line = problem == dots.get((section, name)) or (section, name) not in lines
                found[name] = problem if names_its_line else f"{problem} (line {lines[section, name]})"
        if entries is not None and found:
            marked = {
                name: entry.model_copy(update={"problem": found[name]}) if name in found else entry
                for name, entry in entries.items()
            }
            catalog = catalog.model_copy(update={section: marked})
    return catalog


def _of_contract(entry: SpecEntry, section: Section) -> str | None:
    """Return why the contract of an entry of ATTENTION cannot be read; None where it can."""
    if section != "attention":
        return None
    return problem if isinstance(problem := read_contract(entry), str) else None


def _tree(target: Target) -> ast.Module | None:
    file = target.file_of(target.settings.specs or "")
    return tree_of(file) if file else None


def _place_of_section(target: Target, name: str) -> Location | None:
    """Return where the specs bind the name of a section."""
    file, tree = target.file_of(target.settings.specs or ""), _tree(target)
    line = line_of_section(tree, name) if tree else None
    if file is None or line is None or not file.is_relative_to(target.root):
        return None
    return Location(path=file.relative_to(target.root).as_posix(), line=line)


def _dots_left(tree: ast.Module | None) -> dict[tuple[str, str], str]:
    """Return the entries in which dots that `astrobio-audit init` wrote are not filled in, each with what to do."""
    found = lines_of_dots(tree, _SECTIONS) if tree else {}
    return {key: f"fill in the dots (`...`) at line {line} of the specs" for key, line in found.items()}


def _left_to_none(name: str, models: Mapping[str, SpecEntry]) -> str | None:
    """Return why what an entry leaves to another one would be judged nowhere; None where it is judged."""
    entry = models[name]
    for key, other in (("compiles", entry.compiles), ("exports", entry.exports)):
        if not isinstance(other, str):
            continue
        if other == name:
            return f"{key!r} names the entry itself: it is True, False, or the name of another entry of MODELS"
        if (standing := models.get(other)) is None:
            near = nearest(other, models.keys() - {name})
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            return f"{key!r} names {other!r}, which MODELS does not have{hint}"
        if standing.problem is not None:
            return f"{key!r} names {other!r}, whose entry cannot be used: {standing.problem}"
        if standing.declared != entry.declared:
            return f"{key!r} names {other!r}, which is of another class, {standing.declared}"
        if getattr(standing, key) is not True:
            return f"{key!r} names {other!r}, which has to declare {key!r}: True and does not"
    return None
