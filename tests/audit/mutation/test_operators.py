"""The examples of every operator are its tests."""

from textwrap import dedent

import pytest

from audit.mutation.mutants import mutants_of
from audit.mutation.operator import Operator
from audit.mutation.registry import all_operators, operators_by_name

EXAMPLES = [(each.name, *example) for each in all_operators() for example in each.EXAMPLES]
UNCHANGED = [(each.name, text) for each in all_operators() for text in each.UNCHANGED]


@pytest.mark.parametrize(("name", "before", "after"), EXAMPLES)
def test_an_operator_makes_exactly_the_mutants_of_its_examples(name: str, before: str, after: tuple[str, ...]) -> None:
    mutants = mutants_of(before, path="a.py", operators=[operators_by_name()[name]])
    assert [mutant.text for mutant in mutants] == list(after)


@pytest.mark.parametrize(("name", "text"), UNCHANGED)
def test_an_operator_leaves_alone_what_only_looks_alike(name: str, text: str) -> None:
    assert mutants_of(text, path="a.py", operators=[operators_by_name()[name]]) == []


@pytest.mark.parametrize("operator", all_operators(), ids=lambda each: each.name)
def test_an_operator_says_what_it_does_and_why(operator: Operator) -> None:
    assert operator.title
    assert operator.why
    assert operator.EXAMPLES
    assert operator.UNCHANGED
    assert type(operator).__module__.rpartition(".")[2] == operator.name


def test_there_are_at_least_twenty_operators_with_names_of_their_own() -> None:
    assert len(operators_by_name()) == len(all_operators()) >= 20


def test_a_mutant_says_where_it_is_and_shows_its_edit() -> None:
    source = dedent("""
    def f(q, k, scale):
        return (
            q
            @ k.mT
            * scale
        )
    """)
    (mutant,) = mutants_of(source, path="a.py", operators=[operators_by_name()["drop_scale"]])
    assert (mutant.path, mutant.line, list(mutant.lines)) == ("a.py", 6, [3, 4, 5, 6, 7])
    assert "-        * scale" in mutant.diff.splitlines()


def test_of_two_operators_that_make_the_same_text_one_mutant_is_left() -> None:
    operator = operators_by_name()["drop_scale"]
    once = mutants_of("s = q * scale\n", path="a.py", operators=[operator])
    assert [each.text for each in mutants_of("s = q * scale\n", path="a.py", operators=[operator, operator])] == [
        each.text for each in once
    ]


def test_what_a_class_says_in_annotations_is_not_mutated() -> None:
    assert (
        mutants_of("def f(x: 'a @ b.mT * scale') -> 'q * scale':\n    pass\n", path="a.py", operators=all_operators())
        == []
    )


@pytest.mark.parametrize(
    "source",
    [
        "x = q * scale",
        "\n# first\nx = q * scale  # last\n\n# end",
        "x = q * scale\r\ny = 1\r\n",
        "y = 1\r\nx = q * scale",
    ],
)
def test_the_rest_of_a_file_stays_as_it_is(source: str) -> None:
    drop = operators_by_name()["drop_scale"]
    (mutant,) = mutants_of(source, path="a.py", operators=[drop])
    assert mutant.text.rstrip() == source.replace("q * scale", "q").rstrip()


@pytest.mark.parametrize("source", ["", "# nothing\n", '"""Only words."""\n'])
def test_a_file_without_code_has_no_mutants(source: str) -> None:
    assert mutants_of(source, path="a.py", operators=all_operators()) == []


def test_a_comment_of_the_line_says_that_an_edit_is_no_mistake() -> None:
    operator = operators_by_name()["drop_scale"]
    source = "s = q * scale  # no mutant:  the  layer norm undoes it\nt = q * scale\nu = q * scale  # no mutant:\n"
    found = mutants_of(source, path="a.py", operators=[operator])
    assert [mutant.excuse for mutant in found] == ["the layer norm undoes it", None, None]  # one needs a reason


@pytest.mark.parametrize(
    "source",
    [
        's = q * scale; print("# no mutant: in a text")\n',
        's = q * scale + f("""\n# no mutant: in a text\n""")\n',
    ],
)
def test_what_only_looks_like_such_a_comment_excuses_nothing(source: str) -> None:
    found = mutants_of(source, path="a.py", operators=[operators_by_name()["drop_scale"]])
    assert found
    assert all(mutant.excuse is None for mutant in found)
