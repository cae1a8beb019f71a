"""Models of one package as text, each a right one with one edit, and the specs that declare them."""

import torch

# Until 2.11 torch.compile took what asks `torch.compiler.is_exporting()` for an export.
EXPORTING_IS_NO_COMPILING = torch.torch_version.TorchVersion(torch.__version__) >= (2, 12)
# Outputs for every position, of a model that declares that it reads in one direction.
IN_TURN = "'causal': {'content': ['x']}, 'inputs': unmasked, 'loss': loss_in_turn"
REMOVABLE = "'padding': {'mask': 'attention_mask', 'content': ['x'], 'removable': True}"
BLOCKS = "'residual': {'block': ['mix', 'up']}"
ELSE = "return self.head(self.mixed(x, attention_mask))"
# name: (more in __init__, forward, more of the entry, the checks that fail)
WRONG: dict[str, tuple[str, str, str, str]] = {
    "squeezes_the_batch": ("", "return self.head(self.mixed(x, attention_mask)).squeeze(0)", "", "output_forms"),
    "another_dtype_for_large_batches": (
        "", "y = self.head(self.mixed(x, attention_mask)); return y.double() if len(x) > 3 else y", "", "output_forms",
    ),
    "no_batch": ("", "return self.head(self.mixed(x, attention_mask)).mean(0)", "", "output_forms"),
    "dropout_never_applied": ("self.dropout = nn.Dropout(0.5)", ELSE, "", "train_eval"),
    "noise_undeclared": (
        "", "return self.head(self.mixed(x, attention_mask)) + 0.01 * self.training * torch.randn(())", "",
        "train_eval",
    ),
    "random_declared_and_absent": ("", ELSE, "'random_in_training': True", "train_eval"),
    "scaled_in_eval": (
        "", "return self.head(self.mixed(x, attention_mask)) * (1 if self.training else 2)", "", "train_eval",
    ),
    "mean_over_the_batch": (
        "", "y = self.mixed(x, attention_mask); return self.head(y - y.mean(0) / 2)", "", "batch_rows",
    ),
    "mask_not_passed_on": ("", "return self.head(self.mixed(x, torch.ones_like(attention_mask)))", "", "padding_leaks"),
    "counts_the_padding": (
        "", "return self.head(self.mixed(x, attention_mask)) * (1 + 1 / x.shape[1])", REMOVABLE, "padded_rows",
    ),
    "half_hidden": ("", "return self.head(self.mixed(x, attention_mask * 0.9 + 0.1))", "", "padding_leaks"),
    "forgets_what_it_was_given": (
        "self.block = Block(adds=False)", "return self.head(self.block(self.mixed(x, attention_mask)))", BLOCKS,
        "residual",
    ),
    "changes_in_place_what_it_adds_to": (
        "self.block = Block(in_place=True)", "return self.head(self.block(self.mixed(x, attention_mask)))", BLOCKS,
        "residual",
    ),
    "leaves_out_what_came_between": (
        "self.block = Block(skips=True)", "return self.head(self.block(self.mixed(x, attention_mask)))",
        BLOCKS, "residual",
    ),
    "sees_the_next": ("", "return self.head(self.summed(x, ahead=1))", IN_TURN, "future_leaks"),
    "views_its_input": (
        "", "return self.head(self.mixed(x.view(len(x), -1).view(x.shape), attention_mask))", "", "noncontiguous",
    ),
    "loss_in_place": ("", ELSE, "'loss': in_place_loss", "inputs_untouched"),
    "detaches_its_input": (
        "", "return self.head(self.mixed(x.detach(), attention_mask))", "", "input_gradients gradcheck",
    ),
    "thaws": ("", f"self.layer.requires_grad_(True); {ELSE}", "", "frozen"),
    "detaches_above_what_is_frozen": (
        "self.between = nn.Parameter(torch.ones(8))",
        "y = self.mixed(x, attention_mask) * self.between\n"
        "        return self.head(y if self.layer.weight.requires_grad else y.detach())",
        "", "frozen",
    ),
    "wrong_backward": ("", "return self.head(Doubled.apply(self.mixed(x, attention_mask)))", "", "gradcheck"),
    "recomputes_other_numbers": (
        "self.gradient_checkpointing = False",
        "return self.head(recomputed(self.mixed, x, attention_mask, on=self.gradient_checkpointing))",
        "", "checkpointing",
    ),
    "checkpointing_without_effect": ("self.gradient_checkpointing = False", ELSE, "", "checkpointing"),
    "clears_gradients": ("", f"self.zero_grad(); {ELSE}", "", "accumulation"),
    "overflows": (
        "", "y = self.mixed(x, attention_mask); return self.head(y * ((y * 3000).square() + 1).log() / 10)", "",
        "low_precision",
    ),
    "refuses_what_it_declares": (
        "", f"assert self.head.weight.dtype != torch.float16; {ELSE}", "'dtypes': ['float64', 'float16']",
        "low_precision",
    ),
    "targets_of_the_sample_before": (
        "", ELSE, "'loss': lambda output, inputs: loss(output, {'x': inputs['x'].roll(1, 0)})", "sample_order",
    ),
    "loss_upside_down": ("", ELSE, "'loss': lambda output, inputs: -loss(output, inputs)", "overfits"),
    "another_for_compilers": (
        "",
        "y = self.mixed(x, attention_mask); return self.head(y * 2 if torch.compiler.is_dynamo_compiling() else y)",
        "", "compile",
    ),
    "breaks_the_graph": ("", f"torch._dynamo.graph_break(); {ELSE}", "'compiles': True", "compile"),
    "compiles_not_as_declared": ("", f"refuse_to_compile(); {ELSE}", "'compiles': True", "compile"),
    "another_for_exports": (
        "", "y = self.mixed(x, attention_mask); return self.head(y * 2 if torch.compiler.is_exporting() else y)", "",
        "export" if EXPORTING_IS_NO_COMPILING else "export compile",
    ),
    "keeps_a_number_of_the_batch": (
        "", "return self.head(self.mixed(x, attention_mask) * (1 if len(x) == 3 else 1.0))", "'dynamic_batch': True",
        "export",
    ),
}  # fmt: skip
# What a check cannot judge: more in __init__, forward, more of the entry, the check and its outcome.
UNJUDGED: dict[str, tuple[str, str, str, str, str]] = {
    "no_batch_of_one": ("", ELSE, "'inputs': two_at_least", "output_forms", "error"),
    "rows_of_no_batch": ("", "return self.head(self.mixed(x, attention_mask)).mean(0)", "", "batch_rows", "skipped"),
    "hides_nothing_known": (
        "", "return self.head(torch.tanh(self.layer(x)).mean(1))", "'inputs': unmasked",
        "padding_leaks", "not_applicable",
    ),
    "branch_that_is_silent_for_ever": (
        "self.block = Block(); self.block.up = nn.Threshold(1e9, 0.0)",
        "return self.head(self.block(self.mixed(x, attention_mask)))", BLOCKS, "residual", "error",
    ),
    "block_of_another_name": ("self.block = Block()", ELSE, BLOCKS, "residual", "error"),
    "reads_the_first_alone": (
        "", "return self.head(self.summed(x[:, :1].expand_as(x), ahead=0))", IN_TURN, "future_leaks", "error",
    ),
    "one_output_for_all_positions": (
        "", ELSE, "'causal': {'content': ['x']}", "future_leaks", "error",
    ),
    "rounded_by_the_future": (
        "", "y = self.summed(x, ahead=0); return self.head(y + 1e-7 * y.mean(1, keepdim=True))", IN_TURN,
        "future_leaks", "error",
    ),
    "hides_no_row_in_part": (
        "", "return self.head(torch.tanh(self.layer(x)).mean(1))", f"{REMOVABLE}, 'inputs': a_row_or_none",
        "padded_rows", "error",
    ),
    "mask_of_positions_first": (
        "", "return self.head(self.mixed(x, attention_mask.T))", f"{REMOVABLE}, 'inputs': mask_of_positions_first",
        "padded_rows", "error",
    ),
    "mask_that_is_as_long_as_no_content": (
        "", "return self.head(self.mixed(x, attention_mask.T))", f"{REMOVABLE}, 'inputs': mask_of_positions_first",
        "padding_leaks", "error",
    ),
    "padding_that_is_not_read": (
        "", ELSE, "'padding': {'mask': 'attention_mask', 'content': ['unused']}, 'inputs': with_unused",
        "padding_leaks", "error",
    ),
    "whole_numbers": (
        "del self.layer; self.table = nn.Embedding(9, 8)", "return self.head(self.table(x.long()).mean(1))",
        "'inputs': whole_numbers", "input_gradients", "not_applicable",
    ),
    "float32_inside": (
        "", "return self.head(self.mixed(x.float().to(torch.float32), attention_mask))", "", "gradcheck",
        "not_applicable",
    ),
    "declares_no_float64": ("", ELSE, "'dtypes': ['bfloat16']", "gradcheck", "not_applicable"),
    "nothing_recomputed": ("", ELSE, "", "checkpointing", "not_applicable"),
    "normalised_over_the_batch": (
        "self.norm = nn.BatchNorm1d(8)", "return self.head(self.norm(self.mixed(x, attention_mask)))", "",
        "accumulation", "not_applicable",
    ),
    "targets_by_place": (
        "", ELSE, "'loss': lambda output, inputs: (output - torch.arange(len(output))[:, None]).square().mean()",
        "sample_order", "not_applicable",
    ),
    "summed_loss": (
        "", ELSE, "'loss': lambda output, inputs: loss(output, inputs) * len(output)", "accumulation", "not_applicable",
    ),
    "declares_no_lower_dtype": ("", ELSE, "'dtypes': ['float64']", "low_precision", "not_applicable"),
    "not_to_be_compiled": ("", ELSE, "'compiles': False", "compile", "not_applicable"),
    "compiles_nothing": (
        "self.forward = torch.compiler.disable(self.forward)", ELSE, "", "compile", "not_applicable",
    ),
    "exported_elsewhere": (
        "", ELSE, "'class': 'zoo.models:right', 'build': models.right, 'exports': 'right'", "export", "not_applicable",
    ),
    "steps_on_nothing": ("self.requires_grad_(False)", ELSE, "", "overfits", "skipped"),
    "drops_out_too_rarely_to_show": (
        "self.dropout = nn.Dropout(1e-6)", "return self.head(self.dropout(self.mixed(x, attention_mask)))", "",
        "train_eval", "error",
    ),
    "given_an_object": (
        "", "return self.head(self.mixed(x.values, x.mask))", "'inputs': in_an_object, 'loss': loss_of_object",
        "noncontiguous", "error",
    ),
    "given_lists_of_numbers": (
        "", "return self.head(torch.tanh(self.layer(torch.tensor(x))).mean(1))",
        "'inputs': numbers, 'loss': loss_of_numbers", "inputs_untouched", "error",
    ),
    "one_parameter": (
        "del self.layer, self.head; self.weight = nn.Parameter(torch.randn(6, 2) / 3)",
        "return x.mean(1) @ self.weight", "", "frozen", "not_applicable",
    ),
}  # fmt: skip
# Right in another way than the first, and passed by the check named.
RIGHT: dict[str, tuple[str, str, str, str]] = {
    "right": ("", ELSE, "'exports': True", "compile"),
    "right_as_declared": ("", ELSE, "'compiles': True", "compile"),
    "drops_out": (
        "self.dropout = nn.Dropout(0.5)", "return self.head(self.dropout(self.mixed(x, attention_mask)))", "",
        "train_eval",
    ),
    "learns_statistics": (
        "self.norm = nn.BatchNorm1d(8)", "return self.head(self.norm(self.mixed(x, attention_mask)))", "", "train_eval",
    ),
    "adds_to_what_it_was_given": (
        "self.block = Block()", "return self.head(self.block(self.mixed(x, attention_mask)))", BLOCKS, "residual",
    ),
    "adds_what_begins_as_zero": (
        "self.block = Block(silent=True)", "return self.head(self.block(self.mixed(x, attention_mask)))", BLOCKS,
        "residual",
    ),
    "goes_without_its_padding": ("", ELSE, REMOVABLE, "padded_rows"),
    "reads_in_turn": ("", "return self.head(self.summed(x, ahead=0))", IN_TURN, "future_leaks"),
    "hides_with_true": (
        "", "return self.head(self.mixed(x, attention_mask == 0))", "'padding': HIDING, 'inputs': hiding",
        "padding_leaks",
    ),
    "checkpoints": (
        "self.gradient_checkpointing = False",
        "return self.head(checkpointed(self.mixed, x, attention_mask, on=self.gradient_checkpointing))",
        "", "checkpointing",
    ),
    "any_batch_in_a_dict": (
        "", "return self.head(self.mixed(x['y'], *x['masks']))",
        "'dynamic_batch': True, 'exports': True, 'inputs': in_a_dict, 'loss': loss_of_dict", "export",
    ),
    "any_batch": ("", ELSE, "'dynamic_batch': True, 'exports': True", "export"),
    "rare_targets": ("", ELSE, "'loss': rare_loss", "overfits"),
    "no_targets": ("", ELSE, "'loss': lambda output, inputs: output.square().mean()", "overfits"),
}  # fmt: skip
# Its backward forgets a part of the factor.
DOUBLED = """
class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(context, y):
        return y * 2
    @staticmethod
    def backward(context, gradient):
        return gradient * 1.5
"""
HEAD = (
    """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

"""
    + DOUBLED
    + """
def checkpointed(function, x, mask, on):
    return checkpoint(function, x, mask, use_reentrant=False) if on else function(x, mask)

def recomputed(function, x, mask, on):
    runs = []
    def run(x, mask):
        runs.append(1)
        return function(x * len(runs), mask)
    return checkpointed(run, x, mask, on)

def refuse_to_compile():
    if torch.compiler.is_dynamo_compiling():
        raise NotImplementedError("not for compilers")

class Block(nn.Module):
    def __init__(self, adds=True, silent=False, skips=False, in_place=False):
        super().__init__()
        self.adds, self.skips, self.in_place = adds, skips, in_place
        self.norm, self.up, self.mix = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)
        if silent:
            nn.init.zeros_(self.up.weight), nn.init.zeros_(self.up.bias)
    def forward(self, y):
        y = y.clone() if not self.in_place else y
        mixed = self.mix(torch.tanh(self.norm(y.relu_() if self.in_place else y))) + y
        branch = self.up(torch.tanh(self.norm(mixed)))
        return (y if self.skips else mixed) + branch if self.adds else branch

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(6, 8), nn.Linear(8, 2)

    def mixed(self, x, mask):
        y = torch.tanh(self.layer(x))
        kept = mask.to(y.dtype)[..., None]
        return (y * kept).sum(1) / kept.sum(1)

    def summed(self, x, ahead):
        seen = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype, device=x.device).tril(ahead)
        return torch.tanh(self.layer(torch.einsum("ij,bjd->bid", seen, x)))
"""
)
CLASS = """
class {name}(Base):
    def __init__(self):
        super().__init__()
        {built}
    def forward(self, x, attention_mask=None, unused=None):
        {forward}
"""
SETTINGS = '[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 2\n'
SPECS = """
from types import SimpleNamespace
import torch
from zoo import models

def inputs(batch_size, generator):
    mask = torch.ones(batch_size, 5, dtype=torch.long)
    mask[0, 3:] = 0
    return {"x": torch.randn(batch_size, 5, 6, generator=generator), "attention_mask": mask}

def two_at_least(batch_size, generator):
    assert batch_size > 1
    return inputs(batch_size, generator)

def a_row_or_none(batch_size, generator):
    mask = torch.ones(batch_size, 5, dtype=torch.long)
    mask[0] = 0
    return {"x": torch.randn(batch_size, 5, 6, generator=generator), "attention_mask": mask}

def mask_of_positions_first(batch_size, generator):
    given = inputs(batch_size, generator)
    return {**given, "attention_mask": given["attention_mask"].T.contiguous()}

def unmasked(batch_size, generator):
    return {"x": inputs(batch_size, generator)["x"]}

def with_unused(batch_size, generator):
    return {**inputs(batch_size, generator), "unused": torch.randn(batch_size, 5, generator=generator)}

def whole_numbers(batch_size, generator):
    return {"x": torch.randint(9, (batch_size, 5), generator=generator)}

def in_an_object(batch_size, generator):
    given = inputs(batch_size, generator)
    return {"x": SimpleNamespace(values=given["x"], mask=given["attention_mask"])}

def in_a_dict(batch_size, generator):
    given = inputs(batch_size, generator)
    return {"x": {"y": given["x"], "masks": [given["attention_mask"]]}}

def loss_of_dict(output, inputs):
    return loss(output, {"x": inputs["x"]["y"]})

def loss_of_object(output, inputs):
    return loss(output, {"x": inputs["x"].values})

def numbers(batch_size, generator):
    return {"x": unmasked(batch_size, generator)["x"].tolist()}

def loss_of_numbers(output, inputs):
    return loss(output, {"x": torch.tensor(inputs["x"])})

# Of the first seed all samples have one target, and of one of the next they have not.
def rare_loss(output, inputs):
    return (output - (inputs["x"][:, :1, 0] > 1.2).to(output.dtype)).square().mean()

def hiding(batch_size, generator):
    given = inputs(batch_size, generator)
    return {"x": given["x"], "attention_mask": given["attention_mask"] == 0}

HIDING = {"mask": "attention_mask", "content": ["x"], "keeps": False}

def loss(output, inputs):
    return (output - inputs["x"].to(output.dtype).flatten(1).sin()[:, :2]).square().mean()

def loss_in_turn(output, inputs):
    return loss(output.mean(1), inputs)

def in_place_loss(output, inputs):
    value = loss(output, inputs)
    inputs["attention_mask"].fill_(1)
    return value

def entry_of(name, **more):
    return {"class": f"zoo.models:{name}", "build": getattr(models, name), "inputs": inputs, "loss": loss, **more}

ATTENTION = {}
MODELS = {}
"""
