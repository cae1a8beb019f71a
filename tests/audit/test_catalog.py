import pytest

from audit.catalog import Catalog, SpecEntry, Undeclared, judge_section
from audit.judgement import error
from audit.results import Outcome

ENTRY = {"problem": None, "class": "zoo.model:Model", "decodes": False}


CATALOG = Catalog.model_validate({"models": {"one": ENTRY, "two": ENTRY}, "attention": {}})


def test_a_section_with_entries_passes_with_their_number() -> None:
    judgement = judge_section(CATALOG, "models", may_be_empty=False)
    assert judgement.outcome is Outcome.PASSED
    assert judgement.measured is not None
    assert judgement.measured.value == 2


@pytest.mark.parametrize(("may_be_empty", "outcome"), [(True, Outcome.NOT_APPLICABLE), (False, Outcome.FAILED)])
def test_an_empty_section_is_never_a_pass(may_be_empty: bool, outcome: Outcome) -> None:
    judgement = judge_section(CATALOG, "attention", may_be_empty=may_be_empty)
    assert judgement.outcome is outcome
    assert "ATTENTION is empty" in (judgement.reason or "")


@pytest.mark.parametrize("may_be_empty", [True, False])
def test_a_section_that_is_not_defined_is_an_error_even_where_it_may_be_empty(may_be_empty: bool) -> None:
    judgement = judge_section(Catalog(models={}), "attention", may_be_empty=may_be_empty)
    assert judgement.outcome is Outcome.ERROR
    assert judgement.reason == "the specs do not define ATTENTION"


def test_a_section_that_is_nearly_defined_is_told_with_its_name() -> None:
    judgement = judge_section(Catalog(models={}, misnamed={"attention": "ATENTION"}), "attention", may_be_empty=True)
    assert judgement.outcome is Outcome.ERROR
    assert judgement.reason == "the specs do not define ATTENTION; ATENTION is no section, did you mean ATTENTION?"


def test_of_many_unusable_entries_a_few_are_named_and_the_others_counted() -> None:
    bad = {"problem": "the entry lacks 'build'"}
    catalog = Catalog.model_validate({"models": {f"m{index}": bad for index in range(5)}})
    judgement = judge_section(catalog, "models", may_be_empty=False)
    assert (judgement.reason or "").endswith("MODELS['m2']: the entry lacks 'build'; 2 more")


@pytest.mark.parametrize("may_be_empty", [True, False])
def test_an_unknown_catalogue_is_judged_by_why_it_is_unknown(may_be_empty: bool) -> None:
    why = error("crashed")
    assert judge_section(Undeclared(why), "models", may_be_empty=may_be_empty) is why


def test_an_entry_is_declared_by_class_or_function() -> None:
    by_class = SpecEntry.model_validate({"problem": None, "class": "a:B"})
    by_function = SpecEntry.model_validate({"problem": None, "function": "a:b"})
    neither = SpecEntry.model_validate({"problem": "neither class nor function"})
    assert (by_class.declared, by_function.declared, neither.declared) == ("a:B", "a:b", None)
