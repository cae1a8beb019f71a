"""A trace is the target's word: it is read as data of the stated types, or not at all."""

from pathlib import Path
from typing import Any

import pytest

from audit.attention.traced import Trace, location_of, read_traces
from audit.gateway import ProbeFailure
from audit.target import Target

CORE: dict[str, Any] = {
    "owner": "attn", "frames": [["/elsewhere/a.py", 3]], "backend": "written out", "head_dim": 8, "scale": 0.35,
    "scale_why": "", "normalised": False, "rotated": False, "learned_scale": False, "soft_cap": None, "biased": False,
    "softmax_axis": "keys", "renormalised": False, "softmaxes": 1, "chosen_between": False, "logits_dtype": "float32",
    "softmax_dtype": "float32", "heads": 4, "kv_heads": 4, "met": [[0, 0]], "value_met": None, "keys": 7,
    "attended": "positions", "dropout": 0.0, "weights": [[[1.0]]],
}  # fmt: skip
CALL: dict[str, Any] = {"cores": [CORE], "dropped": [], "other_softmaxes": 0, "operations": 9}


def test_a_complete_reply_is_read() -> None:
    found = read_traces({"calls": [CALL, None]}, [False, True])
    assert isinstance(found[0], Trace)
    assert found[1] is None
    assert found[0].cores[0].where == "'attn' (written out)"


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"calls": "many"},
        {"calls": []},
        {"calls": [None]},
        {"calls": [CALL, CALL]},
        {"calls": [CALL | {"operations": -1}]},
        {"calls": [CALL | {"cores": [CORE | {"scale": float("nan")}]}]},
        {"calls": [CALL | {"cores": [CORE | {"frames": [["a.py"]]}]}]},
        {"calls": [CALL | {"cores": [{key: value for key, value in CORE.items() if key != "keys"}]}]},
    ],
)
def test_a_reply_of_another_form_is_the_probe_s_failure(reply: Any) -> None:
    with pytest.raises(ProbeFailure):
        read_traces(reply, [False])


def test_the_place_is_the_innermost_line_in_the_target(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").write_text("")
    target = Target.load_tree(tmp_path)
    frames = (("/usr/lib/einops.py", 9), (str(tmp_path / "zoo" / "a.py"), 5), (str(tmp_path / "zoo" / "b.py"), 6))
    found = location_of(frames, target)
    assert found is not None
    assert (found.path, found.line) == ("zoo/a.py", 5)
    assert location_of(frames[:1], target) is None
