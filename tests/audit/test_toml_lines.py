import tomllib
from collections.abc import Sequence

import pytest

from audit.toml_lines import line_of

TEXT = """# a comment
top = 1
"quoted.key" = 2

[tool."astrobio-audit"]
package = "zoo"
reason = '''
seed = 7
'''
seed = 3

[tool.astrobio-audit.gates]
min_score = 2.0
judged.first = 1

[[tool.astrobio-audit.claims]]
id = "a"

[[tool.astrobio-audit.claims]]
id = "b"
needs = { device = "gpu" }
[tool.astrobio-audit.claims.published]
file = "x"
"""
OURS = ("tool", "astrobio-audit")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 2),
        (("quoted.key",), 3),
        (OURS, 5),
        ((*OURS, "seed"), 10),
        ((*OURS, "gates", "min_score"), 13),
        ((*OURS, "gates", "judged", "first"), 14),
        ((*OURS, "claims", 0, "id"), 17),
        ((*OURS, "claims", 1, "id"), 20),
        ((*OURS, "claims", 1, "needs", "device"), 21),
        ((*OURS, "claims", 1, "published", "file"), 23),
        ((*OURS, "claims", 1, "missing"), 19),
        ((*OURS, "missing"), 5),
        (("nowhere",), None),
        ((), None),
    ],
)
def test_a_key_is_found_where_it_is_written(place: Sequence[str | int], line: int | None) -> None:
    tomllib.loads(TEXT)
    assert line_of(TEXT, place) == line
