"""A picture shows its mistake: what is observed and what is expected look different as they are drawn."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from audit.attention.defects import conclude
from audit.attention.defects.patterns import Pattern
from audit.attention.plan import plan_attention
from audit.collected import Collected
from audit.execute import Execution
from audit.plan import Group
from audit.report.pictures import text_picture
from audit.results import Defect, Picture
from audit.target import Target

from ....slow_cases import slow, slow_unless
from ..corpus_mutants import MUTANTS
from ..judged_corpus import JudgedCorpus
from ..test_mutants_are_caught import FUNCTIONS, MODULES, written_package

FIXTURES = Path(__file__).parents[3] / "fixtures" / "attention"
PACKAGES = sorted(path.parent.name for path in FIXTURES.glob("*/pyproject.toml"))
STYLES = list(dict.fromkeys(mutant.of.style for mutant in MUTANTS))
_TOGETHER = 10  # mutants in one process
EDITED = [*MODULES, *FUNCTIONS]
# Seen on other inputs than usual: fewer queries than keys, large logits, every key kept, a cache, the second sample.
SHOWN = {
    "causal_top_left", "torch_with_is_causal", "masked_with_minus_hundred", "mask_in_place_of_causality",
    "cache_drops_a_token", "positions_restart_with_cache", "mask_of_the_first_sample",
}  # fmt: skip
CHUNKS = [EDITED[start : start + _TOGETHER] for start in range(0, len(EDITED), _TOGETHER)]


@pytest.fixture(autouse=True)
def _without_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts have tests of their own, and take longer than all the rest."""
    monkeypatch.setattr(conclude, "reproducer_of", lambda *args, **named: "left out")


def looks_alike(picture: Picture) -> bool:
    return text_picture(picture) == text_picture(picture.model_copy(update={"observed": picture.expected}))


def defects_of(target: Target, groups: Sequence[Group]) -> list[Defect]:
    execution = Execution(target, tuple(groups))
    execution.run()
    return execution.defects


def all_show(defects: Sequence[Defect]) -> None:
    assert defects
    assert not [defect.id for defect in defects if defect.picture and looks_alike(defect.picture)]


def test_two_tables_of_one_text_look_alike() -> None:
    picture = Picture(title="t", observed=((0.5, 0.5),), expected=((0.5, 0.5001),), of="of")
    assert looks_alike(picture)
    assert not looks_alike(picture.model_copy(update={"expected": ((1.0, 0.0),)}))


@pytest.mark.timeout(900)  # of one package every subject has a defect: five minutes on a busy machine
@pytest.mark.parametrize("name", slow_unless({"left_out"}, PACKAGES))
def test_a_package_has_no_picture_that_looks_right(name: str) -> None:
    target = Target.load(FIXTURES / name)
    collected = Collected(target)
    groups = plan_attention(collected)
    collected.close()
    found = defects_of(target, groups)
    assert not [defect.id for defect in found if defect.picture and looks_alike(defect.picture)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("style", slow_unless({"einsum_heads"}, STYLES))
def test_a_mutant_of_the_corpus_has_no_picture_that_looks_right(style: str, tmp_path: Path) -> None:
    corpus = JudgedCorpus(tmp_path, [], [mutant for mutant in MUTANTS if mutant.of.style == style])
    for target, groups in corpus.groups():
        all_show(defects_of(target, groups))


def test_a_wrong_scale_is_drawn_beside_the_right_one_where_there_is_no_oracle(tmp_path: Path) -> None:
    corpus = JudgedCorpus(tmp_path, [], [mutant for mutant in MUTANTS if mutant.name == "einsum_scale_inverted"])
    ((target, groups),) = corpus.groups()
    (defect,) = defects_of(target, groups)
    assert defect.picture is not None
    assert "under a scale of 0.3536 in place of 2.828" in defect.picture.of
    assert not looks_alike(defect.picture)
    observed, expected = (torch.tensor(each) for each in (defect.picture.observed, defect.picture.expected))
    torch.testing.assert_close(expected.sum(dim=-1), torch.ones(len(expected)), rtol=0, atol=1e-4)
    assert observed.amax(dim=-1).mean() > 2 * expected.amax(dim=-1).mean()  # eight times the right scale is sharper


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, dict[str, Group]]]:
    target = Target.load(written_package(tmp_path_factory.mktemp("mutants")))
    collected = Collected(target)
    yield target, {group.subject.name: group for group in plan_attention(collected)}
    collected.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("names", slow(*CHUNKS), ids=lambda names: names[0])
def test_a_mutant_has_no_picture_that_looks_right(edited: tuple[Target, dict[str, Group]], names: list[str]) -> None:
    target, groups = edited
    found = defects_of(target, [groups[name] for name in names])
    all_show(found)
    drawn = {defect.subject.name for defect in found if defect.picture}
    assert drawn >= SHOWN & set(names)


CAUSAL = torch.tensor([[1.0, 0.0], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("observed", "is_influence", "shows"),
    [
        (CAUSAL, False, False),
        (torch.tensor([[1.0, 0.0], [0.49, 0.51]]), False, False),  # less than can be seen
        (torch.tensor([[1.0, 0.0], [0.2, 0.8]]), False, True),
        (torch.tensor([[0.99, 0.01], [0.5, 0.5]]), False, True),  # what should be nothing is seen however little it is
        (torch.tensor([[2.0, 0.0], [1.0, 1.0]]), False, False),  # each row is drawn against its largest
        (torch.tensor([[1.0, 0.0], [0.2, 0.8]]), True, False),  # of an influence no size is expected
        (torch.tensor([[1.0, 0.0], [0.0, 0.8]]), True, True),
        (torch.tensor([[1.0, 0.3], [0.2, 0.8]]), True, True),
        (torch.tensor([[1.0, 0.0], [0.5, torch.nan]]), False, False),  # what is no number is not drawn
        (torch.ones(2, 3), False, False),
    ],
)
def test_a_pattern_shows_what_can_be_seen(observed: torch.Tensor, *, is_influence: bool, shows: bool) -> None:
    pattern = Pattern(observed=observed, expected=CAUSAL, what="", how="", is_influence=is_influence)
    assert pattern.shows is shows
