"""Correct attention in many styles raises no alarm, and each single edit that makes it wrong is found."""

from collections.abc import Iterator

import pytest

from audit.results import Outcome

from ...slow_cases import slow_unless
from .corpus import BUG_CLASSES, CORRECT, Correct, Mutant
from .corpus_mutants import MUTANTS, NOT_FOUND_YET
from .judged_corpus import UNCHANGED, JudgedCorpus, Variant, failing

_FEWEST = 45
_FOUND = [mutant for mutant in MUTANTS if mutant.name not in NOT_FOUND_YET]
# A few styles, with the first mistake of each class in them; all together take minutes.
_STYLES = {"nano_gpt", "grouped", "rotary_cache", "linear_attention"}
_FEW = [correct for correct in CORRECT if correct.style in _STYLES]
_FIRST = {(mutant.of, mutant.bug): mutant for mutant in reversed(_FOUND) if mutant.of in _FEW}.values()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedCorpus]:
    written = JudgedCorpus(tmp_path_factory.mktemp("corpus"), CORRECT, MUTANTS)
    yield written
    written.close()


@pytest.mark.parametrize("correct", slow_unless(_FEW, CORRECT), ids=lambda correct: correct.label)
def test_a_correct_implementation_raises_no_alarm(corpus: JudgedCorpus, correct: Correct) -> None:
    judged = corpus.judge(Variant(UNCHANGED, correct))
    reasons = {check: [each.reason for each in judged[check]] for check in failing(judged)}
    assert not reasons
    errors = {check for check, each in judged.items() if any(one.outcome is Outcome.ERROR for one in each)}
    assert errors == {check for check, _ in correct.errors}, {check: judged[check] for check in errors}
    passed = {check for check, each in judged.items() if any(one.outcome is Outcome.PASSED for one in each)}
    assert passed - {"attention.built"}


@pytest.mark.parametrize("mutant", slow_unless(_FIRST, _FOUND), ids=lambda mutant: mutant.name)
def test_one_edit_is_found(corpus: JudgedCorpus, mutant: Mutant) -> None:
    judged = corpus.judge(Variant(mutant.name, mutant.of), *mutant.checks, until_failed=True)
    assert set(failing(judged)) & set(mutant.checks), {
        check: [f"{one.outcome.value}: {one.reason}" for one in each] for check, each in judged.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in NOT_FOUND_YET], ids=lambda mutant: mutant.name)
def test_what_is_not_found_yet_is_on_the_list(corpus: JudgedCorpus, mutant: Mutant) -> None:
    judged = corpus.judge(Variant(mutant.name, mutant.of), *mutant.checks)
    print(f"not found yet: {mutant.name}, {mutant.bug}: {NOT_FOUND_YET[mutant.name]}")
    assert not set(failing(judged)) & set(mutant.checks), f"{mutant.name} is found now: take it off NOT_FOUND_YET"


def test_the_corpus_is_large_enough_and_its_lists_agree() -> None:
    names = {mutant.name for mutant in MUTANTS}
    assert len(names) == len(MUTANTS)
    assert set(NOT_FOUND_YET) <= names
    assert len(names - set(NOT_FOUND_YET)) >= _FEWEST
    assert {mutant.bug for mutant in MUTANTS} == set(BUG_CLASSES)
    assert {mutant.of for mutant in MUTANTS} <= set(CORRECT)
