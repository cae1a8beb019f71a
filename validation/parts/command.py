"""The course of `plan` and `run`, from their options to their exit codes."""

from pathlib import Path

import typer

from audit.command import conduct_shown, deliver
from audit.elsewhere.specs import read_gateways
from audit.errors import UsageError
from audit.options import format_of
from audit.parts.commands import TargetFlags
from audit.parts.document import PlanDocument, plan_json, plan_schema_json, read_plan
from audit.parts.elsewhere import PartElsewhere
from audit.parts.making import plan_of
from audit.parts.running import PartHere, request_for
from audit.parts.shards import groups_of_part, label_of, read_shard
from audit.provenance import git_state
from audit.report.files import keep_from_git, prepare_folder, prepare_own_folder, write_atomically
from audit.report.streams import print_json
from audit.report.text import counted, one_line
from validation.parts.cli import LATEST, PlanOptions, RunOptions
from validation.parts.commands import COMMANDS

_WORKER = "validation.parts.worker"


def make_plan(options: PlanOptions) -> None:
    """Plan a command and write the plan.

    Raises:
        UsageError: the options or the configuration need correcting.
    """
    if options.schema:
        print_json(plan_schema_json())
        return
    command = COMMANDS[options.command.value]
    if options.profile and not command.release:
        raise UsageError(f"--profile {options.profile}: is of a release, and --command {command.name} is none")
    target = TargetFlags(
        folder=options.target or Path("."),
        package=options.package,
        python=options.python,
        seed=options.seed,
        config=options.config,
    ).load()
    output = None if options.as_json else options.output
    if output:
        if output == PlanOptions.output:
            prepare_own_folder(output.parent)
            keep_from_git(output.parent)
        else:
            prepare_folder(output.parent)
    profile = options.profile
    plan = plan_of(target, command.planners(profile), command=command.name, release=command.release, profile=profile)
    if output is None:
        print_json(plan_json(plan))
        return
    write_atomically(output, plan_json(plan))
    if plan.planned_from.dirty is False and git_state(target.root)[1] is not False:
        typer.echo(
            f"astrobio-audit: {one_line(str(output))} lies in the checkout, which it makes differ from the commit: "
            "`run` will refuse it; let git ignore it, or write it elsewhere",
            err=True,
        )
    if not options.quiet:
        typer.echo(_summary(plan))
        typer.echo(f"written: {one_line(str(output), limit=None)}")


def _summary(plan: PlanDocument) -> str:
    gpu = sum(plan.gpus(group) > 0 for group in plan.groups)
    asks = f", {gpu} of which need a GPU" if gpu else ""
    checks = counted(len(plan.instances), "check")
    profile = plan.planned_from.profile
    use = f", {profile.use}" if profile else ""
    return f"plan {plan.shown_digest}: {checks} in {counted(len(plan.groups), 'group')}{asks}{use}"


def run_part(options: RunOptions) -> None:
    """Carry out a part of a plan here or on gateways, and leave with the exit code of its report.

    Raises:
        UsageError: the options, the plan or a gateway need correcting, or the target has another plan now.
        typer.Exit: always at the end.
    """
    form = format_of(options.format, as_json=options.as_json)
    written = read_plan(options.plan)
    asked = written.planned_from
    shard = read_shard(options.shard) if options.shard is not None else None
    gateways = read_gateways(options.gateway or ())
    if asked.command not in COMMANDS:
        raise UsageError(f"{options.plan}: a plan of {one_line(asked.command)!r}, which is not carried out in parts")
    command = COMMANDS[asked.command]
    target = TargetFlags(
        folder=options.target or Path("."),
        package=asked.given_package,
        python=options.python,
        seed=asked.seed,
        workers=options.workers,
        config=options.config,
    ).load()
    label = label_of(shard, options.needs)

    def choosing(plan: PlanDocument) -> tuple[str, ...]:
        return groups_of_part(plan, shard=shard, needs=options.needs)

    part = PartHere(written, command, label=label, choosing=choosing, cache=options.cache)
    if gateways:
        part = PartElsewhere(
            written, command, label=label, choosing=choosing, cache=options.cache, gateways=gateways, module=_WORKER
        )
    if options.output == LATEST:
        prepare_own_folder(options.output)
        keep_from_git(options.output)
    else:
        prepare_folder(options.output)
    report = conduct_shown(target, request_for(part, command, cache=options.cache), quiet=options.quiet)
    deliver(report, form=form, quiet=options.quiet, output=options.output)
