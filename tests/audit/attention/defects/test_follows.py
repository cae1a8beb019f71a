"""Which failures are no second defect."""

from audit.attention.defects.classes import CLASSES
from audit.attention.defects.follows import FOLLOWS, follow
from audit.attention.defects.usual import ORDER, PLAIN
from audit.attention.properties import PROPERTIES

CHECKS = {prop.check.id.removeprefix("attention.") for prop in PROPERTIES}


def test_where_calls_differ_nothing_that_compares_two_is_a_defect_of_its_own() -> None:
    assert follow(None, "repeatable") >= {"oracle", "mask", "batch_rows", "noncontiguous", "softmax_axis", "depends"}
    assert follow(None, "oracle") == {"oracle", "gradients", "large_logits", "long_sequences"}
    assert follow(None, "mask") == frozenset()


def test_the_tables_name_classes_and_checks_that_there_are() -> None:
    assert FOLLOWS.keys() | set(PLAIN.values()) <= CLASSES.keys()
    assert frozenset().union(*FOLLOWS.values()) <= CHECKS
    assert PLAIN.keys() | set(ORDER) <= CHECKS
