from collections.abc import Callable

import pytest

from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.replies import bytes_of, list_of, names_of, number_of, numbers_of, table_of, text_of

REPLY: dict[str, Plain] = {
    "number": 1.5, "flag": True, "text": "a", "bytes": b"a", "list": [1, 2], "table": {"a": 1}, "mixed": [1, "a"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("read", "key", "found"),
    [
        (number_of, "number", 1.5), (text_of, "text", "a"), (bytes_of, "bytes", b"a"), (list_of, "list", [1, 2]),
        (table_of, "table", {"a": 1}), (names_of, "mixed", ["1", "a"]), (numbers_of, "list", [1, 2]),
    ],
)  # fmt: skip
def test_what_is_there_is_returned(read: Callable[..., object], key: str, found: object) -> None:
    assert read(REPLY, key) == found


@pytest.mark.parametrize(
    ("read", "key"),
    [
        (number_of, "flag"), (number_of, "text"), (number_of, "absent"), (text_of, "bytes"), (bytes_of, "text"),
        (list_of, "table"), (table_of, "list"), (names_of, "text"), (numbers_of, "mixed"), (numbers_of, "number"),
    ],
)  # fmt: skip
def test_anything_else_is_no_reply(read: Callable[..., object], key: str) -> None:
    with pytest.raises(ProbeFailure, match=f"without {key}"):
        read(REPLY, key)
