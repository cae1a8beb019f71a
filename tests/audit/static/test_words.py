"""Words are looked for in what a tree says, and never missed where a rule could find something."""

import ast
import re
from pathlib import Path

import pytest

from audit.static.rules.registry import all_rules
from audit.static.rules.rule import Rule, snippet
from audit.static.tree import TreeIndex
from audit.static.words import Words

EVERY_NAME = '''
"""inDocstring"""
import inImport.inSubmodule as inAlias
from inModule import x  # inComment


class inClass(Base, inKeyword=1):
    async def inMethod(self, inArgument):
        global inGlobal
        self.inAttribute = f"inText {inName}"


match inSubject:
    case [*inStar] | {**inRest} | Point(inPattern=_) as inCase:
        pass
try:
    pass
except inError as inHandler:
    pass
'''


def words_of(text: str) -> Words:
    return Words(text, TreeIndex(ast.parse(text)))


@pytest.mark.parametrize("name", sorted({*re.findall(r"\bin[A-Z]\w+", EVERY_NAME)} - {"inComment", "inDocstring"}))
def test_a_name_of_every_kind_is_found(name: str) -> None:
    words = words_of(EVERY_NAME)
    assert name in words
    assert f"{name}s" not in words


def test_what_only_a_comment_or_docstring_holds_is_not_found() -> None:
    words = words_of(EVERY_NAME)
    assert "inComment" not in words
    assert "inDocstring" not in words


def test_a_word_of_several_parts_is_found_as_it_stands_in_the_text() -> None:
    words = words_of("x.view(1, causal=True)\nview.x\n")
    assert ".view(" in words
    assert "causal=True" in words
    assert "view.x" in words
    assert "view.view" not in words


def test_a_keyword_is_looked_for_in_the_text() -> None:
    assert "assert" in words_of("assert x")
    assert "assert" not in words_of("x")


@pytest.mark.parametrize("rule", [each for each in all_rules() if each.words and each.nodes], ids=lambda rule: rule.id)
def test_every_example_holds_a_word_of_its_rule(rule: Rule) -> None:
    for example in rule.INVALID:
        text = snippet(example)
        assert any(word in words_of(text) for word in rule.words), text


def test_every_name_of_a_large_file_is_found() -> None:
    text = Path(ast.__file__).read_text()
    words = words_of(text)
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert names
    assert all(name in words for name in names)
