"""What a pass under autocast leaves in a model: float32 behind it gives what it gives without."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECK = "smoke.low_precision"
# Made once, for whatever comes first: in float32, or in the dtype of the layer's output, which autocast makes coarse.
TABLE = """y = self.layer(x)
        if self.table is None:
            self.table = (torch.arange(1, 3, device=x.device).to({dtype}) / 7).cos()
        return y + self.table.to(y.dtype)"""
WEIGHT = """if self.table is None:
            self.table = self.layer.weight.detach().to({dtype})
        return torch.einsum("ij,kj->ik", x, {used})"""
CODES = {
    "a_table_in_float32": (TABLE.format(dtype="torch.float32"), "passed", ""),
    "a_table_in_the_first_dtype": (TABLE.format(dtype="y.dtype"), "failed", "autocast bfloat16, the same batch"),
    "weights_in_float32": (WEIGHT.format(dtype="x.dtype", used="self.table"), "passed", ""),
    "weights_in_the_first_dtype": (
        WEIGHT.format(dtype="self.layer(x).dtype", used="self.table"), "failed", "a pass in float32 raises: ",
    ),
    "weights_anew_in_each_dtype": (
        WEIGHT.format(dtype="x.dtype", used="self.layer.weight.to(self.layer(x).dtype)"), "passed", "",
    ),
    "refuses_autocast": (
        "assert not torch.is_autocast_enabled(x.device.type)\n        " + TABLE.format(dtype="y.dtype"), "passed", "",
    ),
    "refuses_all": (
        "assert x.dtype == self.layer(x).dtype == torch.float32\n        return self.layer(x)",
        "not_applicable", "refuses each",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    models = {name: Model(built="self.table = None", forward=code) for name, (code, *_) in CODES.items()}
    found = results_of_models(tmp_path_factory.mktemp("left"), models, only=(CHECK,))
    return {name: next(each for each in found[name] if each.check == CHECK) for name in CODES}


@pytest.mark.parametrize("name", CODES)
def test_what_is_kept_of_a_pass_under_autocast(judged: Mapping[str, Result], name: str) -> None:
    _, outcome, said = CODES[name]
    assert judged[name].outcome == outcome, judged[name].reason
    assert said in (judged[name].reason or "")
    if outcome == "failed":
        assert judged[name].evidence.bound == 0
        assert judged[name].evidence.measured
