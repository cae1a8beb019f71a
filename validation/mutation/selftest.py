"""The audit judged by the same mutants: what it passes without a mistake, it must not pass with one."""

import time
from dataclasses import dataclass, field

from audit.collected import Collected
from audit.command import conduct_shown, deliver, prepare_output
from audit.judgement import Judgement, Measured, error, judged, skipped
from audit.mutation.mutants import Mutant
from audit.mutation.registry import operators_by_name
from audit.results import Check, Comparison, Frozen, Location, Outcome, Severity
from audit.session import Request
from audit.target import Target
from validation.mutation.command import SelftestOptions
from validation.mutation.copies import Copies
from validation.mutation.kept import KeptVerdicts, digests_of
from validation.mutation.plan import mutants_to_try, plan_of, sampled, split_only
from validation.mutation.run import limits_of, load_target, working_folder
from validation.mutation.unmutated import Unmutated, carried_out, in_copy

CHECK = Check(
    id="selftest.mutation",
    title="The audit finds a mistake in the code",
    proves="With one mistake in attention or model code a check of the areas `attention` or `smoke` fails that passes "
    "without it.",
    defect="a check that passes whatever the code computes",
    severity=Severity.MAJOR,
)
_ORIGIN = "a check that passes on code and on the same code with a mistake does not tell the two apart"


class Seen(Frozen):
    """What the audit says of one mutant: the check that failed and its subject, or how much passed.

    `is_run` tells whether any check runs the mutated statement.
    """

    failed: str | None
    detail: str
    unjudged: int = 0
    is_run: bool = True


@dataclass
class Audit:
    """The areas `attention` and `smoke` of the target, repeated in copies of it."""

    target: Target
    copies: Copies
    without: Unmutated
    kept: KeptVerdicts
    time_limit_s: float | None
    begun: float = field(default_factory=time.monotonic)

    def judge(self, mutant: Mutant) -> Judgement:
        """Return whether the audit finds a mutant.

        Raises:
            KeyboardInterrupt: the user asked to stop.
        """
        key = f"{self.kept.whole}\0{mutant.digest}"
        seen = self.kept.get(key, Seen)
        if seen is None:
            if self.time_limit_s is not None and time.monotonic() - self.begun > self.time_limit_s:
                return skipped(f"not tried: the time limit of {self.time_limit_s:g} s was reached")
            try:
                seen = self._try(mutant)
            except OSError as refused:
                return error(f"not tried, for a copy of the target could not be written: {refused}")
            if seen is None:
                return error(
                    "without a mutant no check of the areas attention and smoke passes that runs the statement",
                    fix="see what `astrobio-audit attention` and `astrobio-audit smoke` say of the target as it is",
                )
            self.kept.put(key, seen)
        return _concluded(mutant, seen)

    def _try(self, mutant: Mutant) -> Seen | None:
        """Return what the groups say that run the mutated statement; None where nothing passes without the mutant."""
        count = unjudged = 0
        for group in self.without.reached_by(mutant):
            with self.copies.lent() as copy:
                copy.write(mutant.path, mutant.text)
                results = carried_out(in_copy(self.target, copy), group, fail_fast=True)
            found = next((result for result in results if result.outcome is Outcome.FAILED), None)
            if found:
                return Seen(failed=found.check, detail=f"{found.check} on {found.subject.name}")
            unjudged += sum(result.outcome in (Outcome.ERROR, Outcome.SKIPPED) for result in results)
            count += len(results)
        is_run = bool(count) or self.without.is_run(mutant)
        if not count and (is_run or not self.without.passes_anything):
            return None
        return Seen(failed=None, detail=f"{count - unjudged} checks pass with it", unjudged=unjudged, is_run=is_run)


def _concluded(mutant: Mutant, seen: Seen) -> Judgement:
    operator = operators_by_name()[mutant.operator]
    if seen.failed is None and not seen.is_run:
        return skipped(f"no check of the areas attention and smoke runs the statement on this machine\n{mutant.diff}")
    measured = Measured(
        value=int(seen.failed is not None),
        bound=1,
        comparison=Comparison.AT_LEAST,
        origin=_ORIGIN,
        unit="failing checks",
    )
    lines = [f"{operator.title}, and {seen.detail}", mutant.diff, operator.why]
    if seen.unjudged:
        lines.append(f"{seen.unjudged} checks that pass without it came to no conclusion")
    if operator.equivalent:
        lines.append(f"the mutant is no mistake {operator.equivalent}")
    return judged(measured, otherwise="\n".join(lines), location=Location(path=mutant.path, line=mutant.line))


def run_selftest(options: SelftestOptions) -> None:
    """Try the mutants of the target on this audit.

    Raises:
        UsageError: the options or the configuration need correcting, or there is nothing to mutate.
        typer.Exit: always at the end, with the report's exit code.
    """
    operators, checks = split_only(options.only or ())
    target = load_target(options)
    looked = Collected(target, cache=options.cache)
    try:
        pairs = mutants_to_try(looked, operators, training=False)
    finally:
        looked.close()
    chosen = sampled(pairs, options.max_mutants, target.settings.seed)
    prepare_output(options)
    with working_folder() as folder:
        copies = Copies(target, folder, most=min(target.workers, len(chosen)))
        with copies.lent():  # what cannot be copied is told before anything runs
            pass
        kept = KeptVerdicts(target, "selftest", digests_of(target.root, copies.names), enabled=options.cache)
        mutated = sorted({mutant.path for _, mutant in pairs})
        audit = Audit(
            target=target,
            copies=copies,
            without=Unmutated(target, copies, kept, mutated=mutated),
            kept=kept,
            time_limit_s=options.time_limit,
        )
        request = Request(
            command="selftest",
            planners=[lambda collected: plan_of(CHECK, chosen, lambda mutant, run: audit.judge(mutant))],
            only=checks,
            subjects=options.subject or (),
            limits=limits_of(options, chosen, len(pairs)),
        )
        report = conduct_shown(target, request, quiet=options.quiet)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)
