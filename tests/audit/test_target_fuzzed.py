"""Whatever the configuration holds, it loads or is one clear line."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.configuration import Table
from audit.errors import UsageError
from audit.target import Settings, Target


def load_or_refusal(root: Path, **flags: str) -> Target | str:
    try:
        return Target.load(root, **flags)  # type: ignore[arg-type]
    except UsageError as error:
        return str(error)


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.just("zoo"), st.just("a" * 300)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
tables = st.dictionaries(st.sampled_from(sorted(Settings.model_fields)) | st.text(), values, max_size=5)


@given(tables)
@example({"package": "zoo", "source": "a" * 300})
@example({"package": "zoo", "source": "a\0b"})
@example({"package": "zoo", "python": "a" * 300})
@example({"package": "zoo", "python": "a/" * 3000})
@example({"package": "zoo", "specs": "a" * 300})
@example({"package": "zoo", "source": "\ud800"})
@settings(deadline=None)
def test_whatever_the_table_holds_it_loads_or_is_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzzed"
    (root / "zoo").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.target.read_table", lambda folder, config: Table(table))
        loaded = load_or_refusal(root)
    if isinstance(loaded, str):
        assert loaded.strip()
    else:
        assert table["package"] == loaded.package
        assert set(table) <= set(Settings.model_fields)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
@settings(deadline=None)
def test_whatever_the_file_holds_it_loads_or_is_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzzed_file"
    (root / "zoo").mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_bytes(content)
    loaded = load_or_refusal(root, package="zoo")
    assert loaded.strip() if isinstance(loaded, str) else loaded.package == "zoo"
