"""What a profile makes of a release's plan, and how what remains is carried out."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from audit.attention.agreement import agreement_groups
from audit.catalog import Catalog, SpecEntry
from audit.collected import Collected
from audit.devices import NoSuchDevice
from audit.errors import UsageError
from audit.execute import Execution
from audit.gateway import Probe
from audit.gateway.reads import FilesRead
from audit.judgement import Judgement, Measured, judged
from audit.kept import KeptResults
from audit.parts.making import document_of
from audit.parts.shards import groups_of_part
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.profiles import Profile
from audit.report.document import Report
from audit.results import Check, Outcome, Result, Severity, Subject, SubjectKind
from audit.score import Verdict
from audit.session import Request, conduct
from audit.target import Target
from validation.claims.plan import plan_released_claims
from validation.readiness.profiled import profiled
from validation.smoke.plan import plan_smoke
from validation.training.plan import planner_of
from validation.training.settings import BRIEF, TrainingSettings

PASS = judged(Measured(value=0, bound=0, origin="counted"), otherwise="never")
GPU_CLAIM = """
[[tool.astrobio-audit.claims]]
id = "all_right"
kind = "accuracy"
statement = "all right"
published = { file = "README.md", text = "all right" }
measure = "zoo.measured:right"
at_least = 0.9
"""


@pytest.fixture
def target(tmp_path: Path) -> Callable[..., Target]:
    """Makes a target with a claim that holds, whose hardware is given, and with specs where the catalog is set."""

    def make(needs: str = "", *, specs: bool = False) -> Target:
        package = tmp_path / "project" / "zoo"
        package.mkdir(parents=True, exist_ok=True)
        for name in ("__init__.py", "specs.py"):
            (package / name).write_text("")
        (package / "measured.py").write_text("def right(seed):\n    return [True] * 100\n")
        (package.parent / "README.md").write_text("all right\n")
        table = '[tool.astrobio-audit]\npackage = "zoo"\n' + ('specs = "zoo.specs"\n' if specs else "")
        (package.parent / "pyproject.toml").write_text(table + GPU_CLAIM + needs)
        return Target.load(package.parent)

    return make


def plan_for(profile: Profile, collected: Collected, *planners: Callable[[Collected], Plan]) -> Plan:
    return tuple(group for planner in profiled(planners, profile) for group in planner(collected))


def by_check(plan: Plan, subject: str) -> dict[str, PlannedCheck]:
    return {each.check.id: each for group in plan for each in group.planned if each.subject.name == subject}


def with_model(collected: Collected, device: str | None) -> Collected:
    collected.catalog = Catalog(models={"m": SpecEntry(problem=None, device=device)})
    return collected


@pytest.mark.parametrize(
    ("device", "profile", "reason"),
    [
        ("cuda", Profile.CPU, "outside the profile cpu: needs a GPU"),
        ("cuda", Profile.GPU, ""),
        ("cuda", Profile.MULTI_GPU, ""),
        ("cpu", Profile.CPU, ""),
        (None, Profile.CPU, ""),
    ],
)
def test_every_check_of_a_model_for_a_gpu_lies_outside_of_a_profile_without_one(
    device: str | None, profile: Profile, reason: str, target: Callable[..., Target]
) -> None:
    collected = with_model(Collected(target(specs=True)), device)
    found = by_check(plan_for(profile, collected, plan_smoke, planner_of(BRIEF)), "m")
    assert {"smoke.build", "smoke.compile", "smoke.meta_build", "train.run"} <= found.keys()
    assert {each.outside for name, each in found.items() if name != "train.gpus"} == {reason}


class Seeing:
    """A probe whose interpreter sees so many GPUs."""

    def __init__(self, gpus: int) -> None:
        self._devices = [{}] * gpus
        self.read = FilesRead()

    def call(self, procedure: str) -> dict[str, object]:
        assert procedure == "environment"
        return {"devices": self._devices}


@pytest.mark.parametrize(
    ("gpus", "outcome", "reason"), [(1, Outcome.PASSED, None), (0, Outcome.SKIPPED, "needs a GPU: torch sees none")]
)
def test_what_trains_a_model_for_a_gpu_is_skipped_where_there_is_none(
    gpus: int, outcome: Outcome, reason: str | None, target: Callable[..., Target]
) -> None:
    def training(collected: Collected) -> Plan:
        check = Check(id="train.run", title="t", proves="p", defect="d", severity=Severity.CRITICAL)
        subject = Subject(kind=SubjectKind.MODEL, spec="m")
        return (Group(subject=subject, planned=(PlannedCheck(check=check, subject=subject, judge=lambda run: PASS),)),)

    collected = with_model(Collected(target(specs=True)), "cuda")
    (planned,) = plan_for(Profile.GPU, collected, training)[0].planned
    probe = Seeing(gpus)
    judgement = planned.judge(Run(target=collected.target, probe=cast(Probe, probe), seed=0))
    assert isinstance(judgement, Judgement)
    assert (judgement.outcome, judgement.reason) == (outcome, reason)
    assert probe.read.is_complete == (gpus > 0)  # or else it would be kept for the day on which there is one


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (Profile.CPU, "outside the profile cpu: needs 2 GPUs"),
        (Profile.GPU, "outside the profile gpu: needs 2 GPUs"),
        (Profile.MULTI_GPU, ""),
    ],
)
def test_two_gpus_belong_to_the_profile_of_several_alone(
    profile: Profile, reason: str, target: Callable[..., Target]
) -> None:
    collected = with_model(Collected(target(specs=True)), None)
    planner = planner_of(TrainingSettings())
    plan = plan_for(profile, collected, planner)
    found = by_check(plan, "m")
    assert {name for name, each in found.items() if each.outside == reason} >= {"train.gpus"}
    assert found["train.run"].outside == ""
    # What the whole of a brief training has found is looked up by the same rule.
    (brief,) = (group for group in plan_for(profile, collected, planner_of(BRIEF)) if group.subject.name == "m")
    assert brief.whole
    assert [each.outside for each in brief.whole.planned if each.check.id == "train.gpus"] == [reason]


def claimed(target: Target, profile: Profile | None) -> tuple[Result, Report]:
    planners = [functools.partial(plan_released_claims, slow=False)]
    request = Request(
        command="readiness",
        planners=profiled(planners, profile) if profile else planners,
        release=True,
        profile=profile,
    )
    report = conduct(target, request)
    return next(each for each in report.results if each.subject.name == "all_right"), report


def test_a_claim_on_a_gpu_is_no_part_of_a_verdict_for_cpus(target: Callable[..., Target]) -> None:
    result, report = claimed(target('needs = { device = "gpu" }\n'), Profile.CPU)
    assert (result.outcome, result.reason) == (Outcome.NOT_APPLICABLE, "outside the profile cpu: needs a GPU")
    assert "--only claims.accuracy --subject all_right" in (result.evidence.reproduce or "")
    assert report.verdict is Verdict.INCOMPLETE  # for nothing else was judged
    assert report.profile is Profile.CPU
    result, report = claimed(target(), Profile.CPU)
    assert (result.outcome, report.verdict) == (Outcome.PASSED, Verdict.READY)


@pytest.mark.parametrize("profile", [None, Profile.GPU, Profile.MULTI_GPU])
def test_a_claim_on_a_gpu_that_no_machine_has_leaves_every_other_verdict_incomplete(
    profile: Profile | None, target: Callable[..., Target]
) -> None:
    result, report = claimed(target('needs = { device = "gpu", gpu_name = "no such GPU" }\n'), profile)
    assert result.outcome is Outcome.SKIPPED
    assert (result.reason or "").startswith("needs a GPU called no such GPU; ")
    assert report.verdict is Verdict.INCOMPLETE


def test_a_claim_on_several_gpus_lies_outside_of_the_profile_of_one(target: Callable[..., Target]) -> None:
    result, _ = claimed(target('needs = { device = "gpu", gpus = 1000 }\n'), Profile.GPU)
    assert result.reason == "outside the profile gpu: needs 1000 GPUs"
    result, _ = claimed(target('needs = { device = "gpu", gpus = 1000 }\n'), Profile.MULTI_GPU)
    assert result.outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    ("profile", "outside"), [(Profile.CPU, "outside the profile cpu: needs a GPU"), (Profile.GPU, "")]
)
def test_libraries_are_compared_with_stand_ins_on_a_gpu_alone(
    profile: Profile, outside: str, target: Callable[..., Target], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("import flash_attn\n")
    plan = plan_for(profile, Collected(target()), lambda collected: tuple(agreement_groups([tmp_path / "own.py"])))
    assert by_check(plan, "flash_attn")["attention.standin_agreement"].outside == outside


# -- with a GPU in the profile, devices and attention --


def plan_attention(*subjects: Subject, check: str = "attention.oracle") -> Callable[[Collected], Plan]:
    """Plan a check on each subject, which passes on a GPU alone."""

    def judge(run: Run) -> Judgement:
        assert run.target.device == "cuda", "not carried out on a GPU"
        return PASS

    planned = Check(id=check, title="t", proves="p", defect="d", severity=Severity.CRITICAL)
    groups = tuple(
        Group(subject=each, planned=(PlannedCheck(check=planned, subject=each, judge=judge),), is_kept=True)
        for each in subjects
    )
    return lambda collected: groups


CORE = Subject(kind=SubjectKind.ATTENTION, spec="core")
PACKAGE = Subject(kind=SubjectKind.PACKAGE, module="zoo")


def test_attention_runs_on_the_gpu_and_is_repeated_there_but_what_specs_say_is_read_anywhere(
    target: Callable[..., Target],
) -> None:
    core, package, devices = plan_for(Profile.GPU, Collected(target()), plan_attention(CORE, PACKAGE))
    assert (core.device, core.planned[0].gpus, core.planned[0].flags) == ("cuda", 1, ("--device", "cuda"))
    assert (package.device, package.planned[0].gpus, package.planned[0].flags) == (None, 0, ())
    assert [each.check.id for each in devices.planned] == ["smoke.device"]
    (core,) = plan_for(Profile.CPU, Collected(target()), plan_attention(CORE))
    assert (core.device, core.planned[0].gpus) == (None, 0)


@pytest.mark.parametrize(("check", "device"), [("train.learns", "cuda"), ("smoke.forward", None)])
def test_models_are_trained_on_the_gpu_and_all_else_of_them_is_judged_on_the_cpu(
    check: str, device: str | None, target: Callable[..., Target]
) -> None:
    model = Subject(kind=SubjectKind.MODEL, spec="core")
    group = plan_for(Profile.GPU, Collected(target()), plan_attention(model, check=check))[0]
    assert (group.device, group.planned[0].gpus) == (device, 1 if device else 0)


def carried_out(target: Target, plan: Plan, kept: KeptResults | None = None) -> Sequence[Result]:
    execution = Execution(target, plan, kept=kept)
    execution.run()
    return execution.results


def test_without_a_gpu_attention_is_skipped_with_what_torch_sees(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def absent(target: Target, name: str) -> Target:
        asked.append(name)
        raise NoSuchDevice(f"--device {name}: torch sees none in /some/python", "torch sees none")

    monkeypatch.setattr("audit.devices.on_device", absent)
    more = CORE.model_copy(update={"spec": "more"})
    plan = plan_for(Profile.GPU, Collected(target()), plan_attention(CORE, more))[:2]
    results = carried_out(target(), plan)
    assert {(each.outcome, each.reason) for each in results} == {(Outcome.SKIPPED, "needs a GPU: torch sees none")}
    assert asked == ["cuda"]  # once for all
    assert "attention --device cuda --only attention.oracle --subject core" in (results[0].evidence.reproduce or "")


def test_an_interpreter_that_does_not_tell_leaves_attention_unjudged(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(target: Target, name: str) -> Target:
        raise UsageError("--device: the target's interpreter sent an unreadable answer")

    monkeypatch.setattr("audit.devices.on_device", silent)
    (result,) = carried_out(target(), plan_for(Profile.GPU, Collected(target()), plan_attention(CORE))[:1])
    assert result.outcome is Outcome.SKIPPED
    assert "whether there is one is not known" in (result.reason or "")


def test_what_one_gpu_answered_is_not_kept_for_another(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def seen(name: str) -> None:
        monkeypatch.setattr("audit.devices.on_device", lambda target, device: target.on_device(device, name))

    plan = plan_for(Profile.GPU, Collected(target()), plan_attention(CORE))[:1]
    dated = []
    for name in ("NVIDIA H100", "NVIDIA H100", "NVIDIA H200"):
        seen(name)
        (result,) = carried_out(target(), plan, KeptResults(target(), "content", folder=tmp_path / "kept"))
        assert result.outcome is Outcome.PASSED
        dated.append(result.evidence.measured_at is not None)
    assert dated == [False, True, False]


def test_what_the_command_of_an_area_found_on_a_gpu_counts_in_the_profile_of_one(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("audit.devices.on_device", lambda target, device: target.on_device(device, "NVIDIA H100"))
    planner = plan_attention(CORE)

    def dated(target: Target, plan: Plan) -> bool:
        (result,) = carried_out(target, plan, KeptResults(target, "content", folder=tmp_path / "kept"))
        assert result.outcome is Outcome.PASSED
        return result.evidence.measured_at is not None

    brief = plan_for(Profile.GPU, Collected(target()), planner)[:1]
    in_part = tuple(replace(group, whole=group) for group in brief)
    assert not dated(target().on_device("cuda", "NVIDIA H200"), planner(Collected(target())))
    assert not dated(target().on_device("cuda", "NVIDIA H100"), planner(Collected(target())))
    assert dated(target(), brief)
    assert dated(target(), in_part)


def test_what_lies_outside_of_a_profile_is_not_kept_for_a_run_without_one(
    target: Callable[..., Target], tmp_path: Path
) -> None:
    def judging(collected: Collected) -> Plan:
        check = Check(id="train.two", title="t", proves="p", defect="d", severity=Severity.MAJOR)
        planned = PlannedCheck(check=check, subject=CORE, judge=lambda run: PASS, gpus=2)
        return (Group(subject=CORE, planned=(planned,), is_kept=True),)

    kept = KeptResults(target(), "content", folder=tmp_path / "kept")
    collected = Collected(target())
    for _ in range(2):
        (result,) = carried_out(target(), plan_for(Profile.CPU, collected, judging), kept)
        assert result.outcome is Outcome.NOT_APPLICABLE
        (result,) = carried_out(target(), judging(collected), kept)
        assert result.outcome is Outcome.PASSED


@pytest.mark.parametrize("profile", Profile)
def test_devices_must_be_there_for_a_profile_that_has_them(profile: Profile, target: Callable[..., Target]) -> None:
    collected = with_model(Collected(target(specs=True)), None)
    plan = plan_for(profile, collected, plan_smoke)
    (found,) = (each for group in plan for each in group.planned if each.check.id == "smoke.device")
    assert (found.gpus, found.command, found.flags) == (profile.gpus, "readiness", ("--profile", profile))


def test_a_plan_without_gpus_has_no_part_that_needs_one(target: Callable[..., Target]) -> None:
    loaded = target('needs = { device = "gpu", gpus = 2 }\n', specs=True)

    def parts(profile: Profile | None) -> list[str]:
        collected = with_model(Collected(loaded), "cuda")
        planners = [plan_smoke, planner_of(BRIEF), functools.partial(plan_released_claims, slow=False)]
        plan = (
            plan_for(profile, collected, *planners)
            if profile
            else tuple(group for each in planners for group in each(collected))
        )
        written = document_of(collected, plan, (None, None), command="readiness", release=True, profile=profile)
        assert written.planned_from.profile is profile
        names = groups_of_part(written, needs="gpu")
        assert all(written.gpus(name) for name in names)
        return [f"{name.partition('#')[0]} {written.groups[name][0].check}" for name in names]

    assert parts(None) == ["model:m smoke.device", "claim:all_right claims.accuracy"]
    with pytest.raises(UsageError, match="--needs gpu: the plan has no such check"):
        parts(Profile.CPU)
    assert parts(Profile.MULTI_GPU)[-2:] == ["claim:all_right claims.accuracy", "package:zoo smoke.device"]
