"""Of which tests `make test` runs a few cases, and which it leaves to `make test-slow`: those that take the most time.

The time goes into processes that are started and attention that is judged, in tests beside which cheaper ones stand.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

# Of each test of these files, or of this one test, at most so many cases, spread evenly over all; of none, a test
# without cases counts too.
CASES = {
    "astrobio/attention/test_triton.py": 8,
    "astrobio/commands/test_processes.py": 2,
    "audit/attention/defects/test_branch_scripts.py": 0,
    "audit/attention/defects/test_direction.py": 0,
    "audit/attention/defects/test_direction_scripts.py": 0,
    "audit/attention/defects/test_fixtures.py::test_a_broken_package_has_one_defect_that_its_script_shows": 0,
    "audit/attention/defects/test_found_subjects.py": 0,
    "audit/attention/defects/test_masks_in_decoding.py": 0,
    "audit/attention/defects/test_named_right.py": 0,
    "audit/attention/defects/test_pictures.py": 0,
    "audit/attention/defects/test_rotary_mistakes.py": 0,
    "audit/attention/defects/test_softmax_axis.py": 0,
    "audit/attention/defects/test_undeclared_rotary.py": 0,
    "audit/attention/test_branches_of_models.py": 1,
    "audit/attention/test_context_parallel.py": 1,
    "audit/attention/test_conventions_of_others.py": 3,
    "audit/attention/test_corpus.py": 1,
    "audit/attention/test_forms_of_calls.py": 3,
    "audit/attention/test_found_subjects.py": 3,
    "audit/attention/test_kernel_memory.py": 1,
    "audit/attention/test_long_past.py": 2,
    "audit/attention/test_max_length.py": 1,
    "audit/attention/test_mutants_are_caught.py": 2,
    "audit/attention/test_no_false_alarms.py": 2,
    "audit/attention/test_not_repeatable.py": 0,
    "audit/attention/test_other_forms.py": 3,
    "audit/attention/test_promises_of_modules.py": 4,
    "audit/attention/test_sizes_that_do_not_fit.py": 1,
    "audit/gateway/test_probe.py": 1,
    "audit/gateway/test_replies.py": 3,
    "audit/gateway/test_templates.py": 1,
    "audit/probe/guess/test_through_the_probe.py::test_trials_end_before_the_call_and_say_what_was_raised": 1,
    "cli/test_attention_models.py": 1,
    "cli/test_attention_named.py": 1,
    "cli/test_contributing.py": 1,
    "cli/test_formats.py": 2,
    "cli/test_help.py": 3,
    "cli/test_init.py": 1,
    "cli/test_named_loading.py": 1,
    "cli/test_parts.py": 2,
    "cli/test_plugins.py": 1,
    "cli/test_readme.py": 80,
    "cli/test_reports.py": 1,
    "cli/test_spec_followed.py": 0,
    "cli/test_spec_refused.py": 1,
    "cli/test_stopping.py": 1,
    "cli/test_streams.py": 3,
    "cli/test_usage_errors.py": 4,
    "test_broken_packages.py::test_the_command_fails_what_is_broken_and_nothing_else": 7,
    "validation/benchmark/test_bench.py": 1,
    "validation/claims/test_figures.py": 1,
    "validation/claims/test_not_measured.py": 3,
    "validation/readiness/areas/test_hostile_texts.py": 3,
    "validation/readiness/test_profiled.py": 1,
    "validation/smoke/test_attention_inside.py": 1,
    "validation/smoke/test_behaviour_checks.py::test_a_right_model_passes": 0,
    "validation/smoke/test_declared_states.py": 1,
    "validation/smoke/test_output_lists.py": 0,
    "validation/smoke/test_package_checks.py": 2,
    "validation/smoke/test_residual.py": 0,
    "validation/smoke/test_state_checks.py::test_a_model_is_judged_as_it_is": 14,
    "validation/test_hostile_imports.py": 1,
    "validation/training/test_learns.py::test_a_model_that_computes_its_own_loss_in_training": 1,
}
# What each shows is shown in less time by a test beside it, or takes the time of ten others.
WHOLE = (
    "audit/attention/defects/test_fixtures.py::test_a_defect_names_the_line_that_attends",
    "audit/attention/test_without.py::test_one_that_attends_is_judged",
    "cli/test_attention_living.py::test_a_failure_of_an_earlier_run_fails_this_one",
    "cli/test_attention_living.py::test_without_a_failure_nothing_is_left_out",
    "cli/test_named_loading.py::test_results_of_a_class_that_is_executed_alone_say_so",
    "validation/mutation/test_release.py::test_a_command_that_cannot_be_run_is_an_error_of_this_area_alone",
    "validation/smoke/test_without_specs.py::test_a_package_without_specs_has_the_models_of_its_inventory_judged",
    "validation/test_hostile_targets.py::test_damage_to_the_process_reaches_no_other_model",
    "astrobio/commands/test_processes.py::test_a_server_answers_predictions_and_health",
    "audit/parts/test_gateways.py::test_a_gateway_that_falls_silent_while_it_plans_is_given_up",
    "audit/static/test_parameters.py::test_a_chain_of_a_thousand_bases_is_followed",
    "audit/static/test_watching.py::test_each_run_is_a_line_and_each_finding_that_comes_or_goes_another",
    "audit/static/test_whole_inventory.py::test_what_was_mended_is_what_is_made_of_everything",
    "cli/test_attention_living.py::test_nothing_is_begun_after_the_first_failure",
    "cli/test_attention_living.py::test_what_has_not_changed_is_not_measured_again_and_says_when_it_was",
    "cli/test_attention_living.py::test_what_may_have_changed_is_measured_again",
    "cli/test_attention_living.py::test_what_the_target_read_elsewhere_may_have_changed",
    "cli/test_attention_named.py::test_the_printed_spec_of_a_model_is_one_that_smoke_accepts",
    "cli/test_attention_named.py::test_without_specs_the_package_is_judged_by_what_its_inventory_finds",
    "cli/test_baseline.py::test_no_release_is_ready_by_a_baseline",
    "cli/test_contributing.py::test_a_backend_is_a_function_and_two_names",
    "cli/test_fix_verify.py::test_without_an_audit_nothing_can_be_verified",
    "cli/test_begun_specs.py::test_its_specs_need_the_dots_filled_in_and_nothing_else",
    "cli/test_init.py::test_its_workflow_calls_commands_that_exist",
    "cli/test_named_loading.py::test_smoke_says_that_a_model_was_executed_alone",
    "cli/test_named_loading.py::test_the_script_of_a_defect_finds_the_package",
    "cli/test_parts.py::test_a_plan_is_for_a_profile_which_its_parts_take_over",
    "cli/test_plugins.py::test_a_backend_that_is_wrong_gets_no_time",
    "cli/test_plugins.py::test_its_backend_is_timed",
    "cli/test_smoke_living.py::test_what_a_killed_run_has_judged_is_not_judged_again_by_the_next",
    "validation/benchmark/test_bench.py::test_every_mode_is_checked_and_timed",
    "validation/benchmark/test_bench.py::test_one_that_is_slow_in_bursts_is_timed_with_every_sample_and_a_note",
    "validation/benchmark/test_bench.py::test_what_a_backend_holds_when_it_raises_is_gone_before_the_next_case",
    "validation/mutation/test_release.py::test_mutants_for_which_there_is_no_time_are_skipped_and_not_passed",
    "validation/readiness/test_command.py::test_a_clean_model_is_ready",
    "validation/readiness/test_command.py::test_a_filtered_run_says_so_first_and_gives_no_release_verdict",
    "validation/readiness/test_command.py::test_for_cpus_everything_that_a_cpu_can_do_is_judged_and_the_verdict_says_so",
    "validation/readiness/test_profiled.py::test_a_claim_on_several_gpus_lies_outside_of_the_profile_of_one",
    "validation/smoke/test_without_specs.py::test_every_format_says_what_was_built_and_called",
    "validation/test_hostile_imports.py::test_files_named_like_the_standard_library_are_not_loaded_by_the_probe",
    "validation/test_hostile_imports.py::test_the_target_imports_its_own_packages_of_the_auditors_names",
    "validation/test_hostile_liars.py::test_a_target_that_replaces_torchs_comparisons_is_still_found_out",
    "validation/test_hostile_liars.py::test_what_a_target_says_cannot_steer_the_terminal",
    "validation/test_hostile_targets.py::test_what_a_model_raises_is_told_in_its_result",
    "validation/training/test_learns.py::test_a_loss_that_is_zero_from_the_beginning_is_no_fault_of_the_model",
    "validation/training/test_ranks.py::test_a_declared_speed_is_compared_with_the_median_step",
)


def left_out(node_ids: Iterable[str]) -> Iterator[str]:
    """Yield those of the tests, as `tests/FILE::TEST[CASE]`, that are slow for what stands above."""
    cases: dict[str, list[str]] = defaultdict(list)
    for node_id in node_ids:
        cases[node_id.partition("[")[0].removeprefix("tests/")].append(node_id)
    for test, ids in cases.items():
        most = CASES.get(test, CASES.get(test.partition("::")[0], len(ids)))
        if test in WHOLE:
            yield from ids
        elif len(ids) > most:
            ids.sort()
            quick = {ids[index * len(ids) // most] for index in range(most)}
            yield from (each for each in ids if each not in quick)
