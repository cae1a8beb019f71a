"""Of which tests `make test` runs a few cases, and which it leaves to `make test-slow`: those that take the most time.

Times are of processes that are started and of attention that is judged; together these are a third of the whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

# Of each test of these files at most so many cases, spread evenly over all.
CASES = {
    "astrobio/attention/test_triton.py": 12,
    "astrobio/commands/test_processes.py": 4,
    "audit/attention/defects/test_direction.py": 2,
    "audit/attention/defects/test_direction_scripts.py": 1,
    "audit/attention/defects/test_named_right.py": 2,
    "audit/attention/test_conventions_of_others.py": 5,
    "audit/attention/test_corpus.py": 5,
    "audit/attention/test_found_subjects.py": 10,
    "audit/attention/test_mutants_are_caught.py": 3,
    "audit/attention/test_no_false_alarms.py": 5,
    "audit/attention/test_other_forms.py": 5,
    "audit/gateway/test_probe.py": 1,
    "audit/gateway/test_templates.py": 1,
    "cli/test_attention_named.py": 1,
    "cli/test_formats.py": 4,
    "cli/test_help.py": 8,
    "cli/test_init.py": 1,
    "cli/test_named_loading.py": 1,
    "cli/test_parts.py": 2,
    "cli/test_plugins.py": 1,
    "cli/test_reports.py": 2,
    "cli/test_spec_followed.py": 1,
    "cli/test_spec_refused.py": 1,
    "cli/test_streams.py": 6,
    "cli/test_usage_errors.py": 12,
    "validation/benchmark/test_bench.py": 1,
    "validation/claims/test_figures.py": 4,
    "validation/readiness/areas/test_hostile_texts.py": 8,
    "validation/smoke/test_declared_states.py": 1,
    "validation/smoke/test_package_checks.py": 2,
    "validation/test_hostile_imports.py": 1,
}
# What each shows is shown in less time by a test beside it, or takes the time of ten others.
WHOLE = (
    "audit/static/test_whole_inventory.py::test_what_was_mended_is_what_is_made_of_everything",
    "cli/test_attention_living.py::test_what_has_not_changed_is_not_measured_again_and_says_when_it_was",
    "cli/test_attention_named.py::test_the_printed_spec_of_a_model_is_one_that_smoke_accepts",
    "cli/test_attention_named.py::test_without_specs_the_package_is_judged_by_what_its_inventory_finds",
    "cli/test_contributing.py::test_a_backend_is_a_function_and_two_names",
    "cli/test_init.py::test_its_workflow_calls_commands_that_exist",
    "cli/test_named_loading.py::test_smoke_says_that_a_model_was_executed_alone",
    "cli/test_parts.py::test_a_plan_is_for_a_profile_which_its_parts_take_over",
    "cli/test_plugins.py::test_a_backend_that_is_wrong_gets_no_time",
    "cli/test_plugins.py::test_its_backend_is_timed",
    "validation/benchmark/test_bench.py::test_every_mode_is_checked_and_timed",
    "validation/mutation/test_release.py::test_mutants_for_which_there_is_no_time_are_skipped_and_not_passed",
    "validation/readiness/test_command.py::test_for_cpus_everything_that_a_cpu_can_do_is_judged_and_the_verdict_says_so",
    "validation/smoke/test_without_specs.py::test_every_format_says_what_was_built_and_called",
    "validation/test_hostile_imports.py::test_files_named_like_the_standard_library_are_not_loaded_by_the_probe",
    "validation/test_hostile_targets.py::test_what_a_model_raises_is_told_in_its_result",
    "validation/training/test_ranks.py::test_a_declared_speed_is_compared_with_the_median_step",
)


def left_out(node_ids: Iterable[str]) -> Iterator[str]:
    """Yield those of the tests, as `tests/FILE::TEST[CASE]`, that are slow for what stands above."""
    cases: dict[str, list[str]] = defaultdict(list)
    for node_id in node_ids:
        cases[node_id.partition("[")[0].removeprefix("tests/")].append(node_id)
    for test, ids in cases.items():
        most = CASES.get(test.partition("::")[0], len(ids))
        if test in WHOLE:
            yield from ids
        elif len(ids) > most:
            ids.sort()
            quick = {ids[index * len(ids) // most] for index in range(most)}
            yield from (each for each in ids if each not in quick)
