"""A plan as a document: which checks should be carried out, on what, and what that was planned from."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from audit.errors import UsageError
from audit.plan import PlanKey
from audit.profiles import Profile
from audit.report.document import Count, Tool
from audit.report.text import one_line
from audit.results import Check, Frozen, Subject

PLAN_VERSION: Final = "1.0"
_MOST_MIB = 512  # a check of a plan takes some 400 bytes, so this is of more than a million checks
_MAX_BYTES = _MOST_MIB * 2**20
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHOWN_DIGITS = 12

Needs = Annotated[str, Field(pattern=r"^(cpu|gpu|gpus:[1-9]\d{0,3})$", description="`cpu`, `gpu`, or `gpus:N`.")]


class Instance(Frozen):
    """One check on one subject. Those of one group are carried out together and in order."""

    check: str
    subject: Subject
    needs: Needs
    group: Annotated[str, Field(min_length=1)]

    @property
    def key(self) -> PlanKey:
        """What no other instance of a plan has."""
        return (self.check, self.subject.kind.value, self.subject.name)


class PlannedFrom(Frozen):
    """What a plan was made from: where one of these is another, the plan is another."""

    command: str
    release: Annotated[bool, Field(description="Whether the merged report has a release's verdict.")]
    package: str
    package_digest: str
    config_digest: str
    prefix: str
    commit: str | None
    dirty: bool | None
    seed: Count
    device: str
    tool_digest: Annotated[str, Field(description="SHA-256 over the toolkit's Python files.")]
    given_package: Annotated[str | None, Field(description="The value of `--package`, where it was given.")] = None
    profile: Annotated[Profile | None, Field(description="The hardware that a release is judged for.")] = None


class PlanDocument(Frozen):
    """A written plan. Its digest is computed again on reading: one that was edited does not validate."""

    schema_version: Literal["1.0"]
    tool: Tool
    planned_from: PlannedFrom
    checks: tuple[Check, ...]
    instances: Annotated[tuple[Instance, ...], Field(min_length=1)]
    digest: Annotated[str, Field(description="SHA-256 over all else, `sha256:` and 64 digits.")]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        known = [check.id for check in self.checks]
        if len(set(known)) != len(known) or set(known) != {each.check for each in self.instances}:
            raise ValueError("the checks listed are not those of the instances, each once")
        if len({each.key for each in self.instances}) != len(self.instances):
            raise ValueError("two instances have one check and one subject")
        order = [each.group for each in self.instances]
        begun = [group for index, group in enumerate(order) if not index or order[index - 1] != group]
        if len(set(begun)) != len(begun):
            raise ValueError("the instances of a group do not follow one another")
        if self.digest != digest_of(self.model_dump(mode="json", exclude={"digest"})):
            raise ValueError("the digest is not that of the content: the file was edited, or cut off")
        return self

    @cached_property
    def groups(self) -> Mapping[str, tuple[Instance, ...]]:
        """The instances by their group's id, in the plan's order."""
        found: dict[str, list[Instance]] = {}
        for instance in self.instances:
            found.setdefault(instance.group, []).append(instance)
        return {name: tuple(each) for name, each in found.items()}

    @cached_property
    def by_check(self) -> Mapping[str, Check]:
        """The checks by id."""
        return {check.id: check for check in self.checks}

    def gpus(self, group: str) -> int:
        """Return how many GPUs a group needs: with fewer, none of its checks can be carried out."""
        return min(gpus_of(instance.needs) for instance in self.groups[group])

    @property
    def shown_digest(self) -> str:
        """The digest as it stands in sentences."""
        return shown_digest(self.digest)


def gpus_of(needs: str) -> int:
    """Return the number of GPUs in words such as `gpus:2`."""
    return 0 if needs == "cpu" else 1 if needs == "gpu" else int(needs.removeprefix("gpus:"))


def needs_of(gpus: int) -> str:
    """Return the words for a number of GPUs."""
    return "cpu" if gpus == 0 else "gpu" if gpus == 1 else f"gpus:{gpus}"


def shown_digest(digest: str) -> str:
    """Return the beginning of a digest."""
    return digest.removeprefix("sha256:")[:_SHOWN_DIGITS]


def digest_of(content: object) -> str:
    """Return the SHA-256 of plain data as JSON with sorted keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def plan_json(plan: PlanDocument) -> str:
    """Return the document as JSON text.

    Raises:
        UsageError: it is larger than what is read of a plan.
    """
    text = plan.model_dump_json(indent=2) + "\n"
    if len(text.encode()) > _MAX_BYTES:
        raise UsageError(
            f"the plan has {len(plan.instances)} checks, more than the {_MOST_MIB} MiB that are read of one"
        )
    return text


def plan_schema_json() -> str:
    """Return the JSON Schema of a plan as text, keys sorted."""
    schema = PlanDocument.model_json_schema(mode="serialization")
    schema |= {"$schema": _DIALECT, "title": f"astrobio-audit plan {PLAN_VERSION}"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def read_plan(path: Path) -> PlanDocument:
    """Read and validate a plan.

    Raises:
        UsageError: it cannot be read, or is no plan, or not as it was written.
    """
    try:
        with path.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name of a file"
        raise UsageError(f"{path}: cannot be read: {reason}; `astrobio-audit plan -o FILE` writes a plan") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: larger than {_MOST_MIB} MiB, the most that is read of a plan")
    return parse_plan(content, named=str(path))


def parse_plan(content: bytes | str, *, named: str) -> PlanDocument:
    """Validate the text of a plan, which a message calls `named`.

    Raises:
        UsageError: it is no plan, or not as it was written.
    """
    try:
        return PlanDocument.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(f"{named}: not a valid plan: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a document, in one short line."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return one_line(f"{where}: {first['msg'].removeprefix('Value error, ')}")


def differences(old: PlanDocument, new: PlanDocument) -> Iterable[str]:
    """Yield in words what differs between the written plan and the one that the target has now."""
    before, now = old.planned_from, new.planned_from
    for name, words in _FIELDS.items():
        was, is_ = getattr(before, name), getattr(now, name)
        if was != is_:
            yield f"{words} was {_shown(was)} and is {_shown(is_)}"
    if old.tool != new.tool:
        yield f"the toolkit was {old.tool.version} and is {new.tool.version}"
    was_there, is_there = ({instance.key for instance in plan.instances} for plan in (old, new))
    for words, keys in (("no longer planned", was_there - is_there), ("planned now", is_there - was_there)):
        if keys:
            check, _, subject = min(keys)
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            yield f"{words}: {check} on {subject}{more}"


# Ordered by what explains most: a plan of another commit differs in nearly everything.
_FIELDS = {
    "commit": "the commit",
    "dirty": "whether files differ from the commit",
    "command": "the command",
    "release": "whether it is a release's",
    "profile": "the profile",
    "package": "the package",
    "prefix": "the folder in the repository",
    "package_digest": "the digest of the package's files",
    "config_digest": "the digest of the configuration",
    "seed": "the seed",
    "device": "the device",
    "tool_digest": "the digest of the toolkit",
}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unknown"
    text = one_line(str(value))
    return shown_digest(text) if text.startswith("sha256:") else text
