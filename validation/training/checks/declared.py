"""The specs declare something to train, and how the package itself trains."""

from collections.abc import Sequence

from audit.catalog import HOW_TO_DECLARE, HOW_TO_DECLARE_TRAINING, Catalog, Section, Undeclared, judge_section, unusable
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import listed
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="train.declared",
    title="The specs declare what can be trained",
    proves="The specs can be imported and declare at least one entry of MODELS or TRAINING.",
    defect="specs with an empty MODELS and no TRAINING",
    severity=Severity.MAJOR,
)
_SECTIONS: tuple[Section, ...] = ("models", "training")
TRAINER_CHECK = Check(
    id="train.trainer_declared",
    title="The specs declare how the package trains",
    proves="The specs define TRAINING with at least one entry, where files of the sources train.",
    defect="specs without TRAINING, whose trainer nobody looks at",
    severity=Severity.MAJOR,
)


def judge(catalog: Catalog | Undeclared) -> Judgement:
    """Judge what the specs declare."""
    if isinstance(catalog, Undeclared):
        return catalog.judgement
    if trouble := unusable(catalog, *_SECTIONS):
        return trouble
    if catalog.models is None and catalog.training is None:
        return error("the specs define neither MODELS nor TRAINING", fix=HOW_TO_DECLARE)
    return judged(
        Measured(
            value=len(catalog.models or {}) + len(catalog.training or {}),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin="an audit of nothing proves nothing",
            unit="entries declared",
        ),
        otherwise="MODELS and TRAINING are empty",
    )


def judge_trainer(catalog: Catalog | Undeclared, files: Sequence[str]) -> Judgement:
    """Judge whether the specs define TRAINING; an empty one says that the package trains nothing.

    Args:
        catalog: what the specs declare, or why that is unknown.
        files: those of the sources that train.
    """
    if isinstance(catalog, Catalog) and catalog.training is None:
        if not files:
            return not_applicable("no file of the sources trains, and the specs declare no TRAINING")
        return error(
            f"the specs do not define TRAINING, so what trains is not looked at: {listed(files)}",
            fix=HOW_TO_DECLARE_TRAINING,
        )
    return judge_section(catalog, "training", may_be_empty=True)
