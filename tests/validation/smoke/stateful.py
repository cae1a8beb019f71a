"""Models for the checks of construction, state and memory: what each is, its outcome, and what the reason says."""

from validation.smoke.checks import (
    copies,
    initial_loss,
    initialisation,
    memory,
    meta_build,
    registered,
    safetensors,
    strict_loading,
    tied_weights,
)

from .written import Model

PASSED, FAILED, ERROR, SKIPPED, NONE = "passed", "failed", "error", "skipped", "not_applicable"
DECLARED = "['initial_loss'] = 1.0"  # the targets are standard normal
TIED = "self.other = nn.Linear(6, 2); self.other.weight = self.layer.weight"
BOTH = "return self.layer(x) + self.other(x)"

# By the check that it is about: name, what is written, outcome, what the reason says.
CASES: dict[str, list[tuple[str, Model, str, str]]] = {
    meta_build.CHECK.id: [
        ("reads_a_value", Model("self.rate = torch.linspace(0, 1, 3)[1].item()"), FAILED, "meta tensors"),
        (
            "weight_elsewhere",
            Model("self.layer.weight = nn.Parameter(torch.randn(2, 6, device='cpu'))"),
            FAILED,
            "layer.weight has memory all the same",
        ),
        (
            "another_shape",
            Model("self.register_buffer('n', torch.zeros(2 if torch.zeros(()).is_meta else 3))"),
            FAILED,
            r"n is float32 \[2\] on meta and float32 \[3\] elsewhere",
        ),
        (
            "needs_values",
            Model("self.rate = torch.linspace(0, 1, 3)[1].item()", entry="['meta'] = False"),
            NONE,
            "'meta': False",
        ),
        ("constant_of_numpy", Model("self.register_buffer('n', torch.zeros(2, device='cpu'))"), PASSED, ""),
        ("not_built", Model("1 / 0"), ERROR, "build raised ZeroDivisionError"),
    ],
    initialisation.CHECK.id: [
        (
            "left_empty",
            Model("self.layer.weight = nn.Parameter(torch.empty(2, 6))"),
            FAILED,
            "layer.weight: 12 elements are never initialised",
        ),
        ("left_by_the_old_constructor", Model("self.layer.weight = nn.Parameter(torch.Tensor(2, 6))"), FAILED, "never"),
        (
            "row_left_empty",
            Model("w = torch.empty(2, 6); w[0] = 0.1; self.layer.weight = nn.Parameter(w)"),
            FAILED,
            "layer.weight: 6 elements are never",
        ),
        (
            "whole_numbers_left_empty",
            Model("self.register_buffer('n', torch.empty(3, dtype=torch.long))"),
            FAILED,
            "n: 3 elements are never",
        ),
        (
            "nan_weight",
            Model("nn.init.constant_(self.layer.bias, NAN)"),
            FAILED,
            "layer.bias: 2 elements are not finite",
        ),
        ("infinite_weight", Model("nn.init.constant_(self.layer.bias, 1 / 1e-999)"), SKIPPED, "needs smoke.build"),
        (
            "infinite_mask",
            Model("self.register_buffer('mask', torch.full((2, 2), -torch.inf).triu(1))"),
            PASSED,
            "",
        ),
        ("too_large", Model("self.more = nn.Linear(64, 64); nn.init.normal_(self.more.weight)"), FAILED, "more: 4"),
        ("orthogonal", Model("self.more = nn.Linear(64, 64); nn.init.orthogonal_(self.more.weight)"), PASSED, ""),
        ("kaiming", Model("self.more = nn.Conv1d(9, 64, 3); nn.init.kaiming_normal_(self.more.weight)"), PASSED, ""),
        ("tanh", Model("self.more = nn.Linear(64, 64); nn.init.xavier_normal_(self.more.weight, 5 / 3)"), PASSED, ""),
        (
            "cannot_be_poisoned",
            Model("torch.set_deterministic_debug_mode = lambda *_: None"),
            ERROR,
            "does not fill memory",
        ),
    ],
    initial_loss.CHECK.id: [
        ("begins_right", Model(entry=DECLARED), PASSED, ""),
        ("begins_high", Model(forward="return self.layer(x) * 30", entry=DECLARED), FAILED, "1 is declared"),
        ("begins_undeclared", Model(), NONE, "declares no 'initial_loss'"),
        (
            "nothing_to_expect",
            Model(entry="|= {'initial_loss': 1.0, 'loss': lambda output, inputs: output.abs().log().mean()}"),
            ERROR,
            "is not finite",
        ),
    ],
    registered.CHECK.id: [
        ("holds_nothing", Model(), PASSED, ""),
        (
            "plain_attribute",
            Model("self.shift = torch.randn(2)", "return self.layer(x) + self.shift"),
            FAILED,
            "^shift stays where it was made$",
        ),
        (
            "plain_mask",
            Model("self.mask = torch.ones(6) > 0", "return self.layer(x.masked_fill(~self.mask, 0))"),
            FAILED,
            "mask stays",
        ),
        (
            "moved_when_used",
            Model("self.shift = torch.randn(2)", "return self.layer(x) + self.shift.to(x.device)"),
            PASSED,
            "",
        ),
        (
            "of_the_same_type",
            Model("self.shift = torch.randn(2)", "return self.layer(x) + self.shift.to(x.dtype)"),
            FAILED,
            "^shift stays where it was made$",
        ),
        (
            "moved_by_name_and_type",
            Model("self.shift = torch.randn(2)", "return self.layer(x) + self.shift.to(x.device.type, x.dtype)"),
            PASSED,
            "",
        ),
        (
            "moved_after_counting",
            Model("self.shift = torch.randn(9)", "return self.layer(x) + (self.shift[:2] * torch.arange(2)).to(x)"),
            PASSED,
            "",
        ),
        (
            "moved_and_used_without",
            Model("self.shift = torch.randn(2)", "return self.layer(x) * self.shift.to(x) + self.shift"),
            FAILED,
            "shift stays",
        ),
        (
            "only_its_shape",
            Model("self.like = torch.ones(3, 2)", "return self.layer(x).view(self.like.shape)"),
            PASSED,
            "",
        ),
        ("a_number", Model("self.factor = torch.tensor(2.0)", "return self.layer(x) * self.factor"), PASSED, ""),
        (
            "indexed_by_a_constant",
            Model("self.order = torch.tensor([1, 0])", "return self.layer(x)[:, self.order]"),
            PASSED,
            "",
        ),
        (
            "list_of_layers",
            Model("self.more = [nn.Linear(2, 2)]", "return self.more[0](self.layer(x))"),
            FAILED,
            "more.0.bias wants a gradient and is no parameter",
        ),
        (
            "dict_of_weights",
            Model("self.more = {'w': torch.ones(2, requires_grad=True)}", "return self.layer(x) * self.more['w']"),
            FAILED,
            "^more.w wants a gradient",
        ),
        (
            "in_an_object",
            Model("self.more = types.SimpleNamespace(w=torch.ones(2))", "return self.layer(x) * self.more.w"),
            FAILED,
            "^more.w stays",
        ),
        ("of_the_file", Model(forward="return self.layer(x) * TABLE"), FAILED, "^zoo.models:TABLE stays"),
        (
            "refuses_to_be_followed",
            Model(forward="assert not torch._C._len_torch_function_stack(); return self.layer(x)"),
            ERROR,
            "forward raised AssertionError",
        ),
    ],
    strict_loading.CHECK.id: [
        ("strict", Model(), PASSED, ""),
        (
            "swallows",
            Model("load = self.load_state_dict; self.load_state_dict = lambda state: print(load(state, strict=False))"),
            FAILED,
            "loaded in silence: a state dict with another key, without layer.bias, without layer.weight",
        ),
        (
            "answers_with_the_keys",
            Model("load = self.load_state_dict; self.load_state_dict = lambda state: load(state, strict=False)"),
            PASSED,
            "",
        ),
        (
            "fills_in_what_is_missing",
            Model(
                "self.register_load_state_dict_pre_hook("
                "lambda m, state, *_: state.setdefault('layer.bias', torch.zeros(2)))"
            ),
            FAILED,
            "^loaded in silence: a state dict without layer.bias$",
        ),
        (
            "has_no_state",
            Model(
                "self.register_state_dict_post_hook(lambda m, s, p, d: s.clear()); "
                "self.load_state_dict = lambda state: None"
            ),
            ERROR,
            "no key to leave out",
        ),
    ],
    tied_weights.CHECK.id: [
        ("tied", Model(TIED, BOTH), PASSED, ""),
        ("untied", Model(), NONE, "no parameter has two names, and the specs declare no `tied`"),
        (
            "cloned_in_the_state",
            Model(
                TIED + "; self.register_state_dict_post_hook("
                "lambda m, s, p, d: s.update({k: v.clone() for k, v in s.items()}))",
                BOTH,
            ),
            FAILED,
            "^layer.weight and other.weight are in the saved file 2 times$",
        ),
        (
            "apart_after_loading",
            Model(
                TIED + "; load = self.load_state_dict; self.load_state_dict = lambda state: load(state, assign=True)",
                BOTH,
            ),
            FAILED,
            "are apart after loading the state dict",
        ),
        ("tied_and_not_built", Model("1 / 0"), SKIPPED, "needs smoke.build"),
    ],
    copies.CHECK.id: [
        ("copied", Model(), PASSED, ""),
        (
            "holds_a_lambda",
            Model("self.after = lambda y: y", "return self.after(self.layer(x))"),
            FAILED,
            "pickle raised .*; torch.save raised",
        ),
        (
            "forgets",
            Model("self.own = Forgetful(2.0)", "return self.layer(x) * self.own.factor"),
            FAILED,
            "^deepcopy: the copy's outputs differ by",
        ),
        (
            "parametrized",
            Model("self.layer = nn.utils.parametrizations.weight_norm(self.layer)"),
            PASSED,
            "",
        ),
        (
            "differs_by_itself",
            Model(forward="return self.layer(x) + torch.randn(2)"),
            SKIPPED,
            "needs smoke.determinism",
        ),
    ],
    safetensors.CHECK.id: [
        ("saved", Model(), PASSED, ""),
        ("tied_and_saved", Model(TIED, BOTH), PASSED, ""),
        (
            "overlapping",
            Model(
                "w = torch.randn(14); self.layer.weight = nn.Parameter(w[:12].view(2, 6)); "
                "self.layer.bias = nn.Parameter(w[11:13])"
            ),
            FAILED,
            "^save raised RuntimeError",
        ),
        (
            "saves_a_number",
            Model("type(self).get_extra_state = lambda self: 3; type(self).set_extra_state = lambda self, state: None"),
            NONE,
            "what is no tensor",
        ),
        (
            "without_the_library",
            Model("sys.modules['safetensors.torch'] = None"),
            SKIPPED,
            "needs the library safetensors",
        ),
    ],
    memory.CHECK.id: [
        ("gives_back", Model(), PASSED, ""),
        ("keeps_the_last", Model(forward="KEPT[:] = [self.layer(x)]; return KEPT[0]"), PASSED, ""),
        (
            "keeps_every_output",
            Model(forward="KEPT.append(self.layer(x)); return KEPT[-1]"),
            FAILED,
            "each round leaves .* tensors and .* bytes more alive",
        ),
        (
            "keeps_its_own_outputs",
            Model("self.kept = []", "y = self.layer(x); self.kept.append(y); return y"),
            FAILED,
            "each step leaves tensors alive that hold its graph",
        ),
        (
            "keeps_a_history",
            Model("self.kept = []", "y = self.layer(x); self.kept.append(y.detach()); return y"),
            PASSED,
            "",
        ),
        (
            "fails_in_a_later_round",
            # What was there before a round is frozen in it, more than in the process that the others fork from.
            Model(forward="n = frozen(); KEPT or KEPT.append(n); assert n <= KEPT[0]; return self.layer(x)"),
            ERROR,
            "forward raised AssertionError",
        ),
    ],
}
HELPERS = """
from gc import get_freeze_count as frozen
class Forgetful:
    def __init__(self, factor=1.0):
        self.factor = factor
    def __deepcopy__(self, memo):
        return Forgetful()
"""
