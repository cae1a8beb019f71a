"""Outputs that are lists with one item for each sample, as of detectors: a right model, and others by one edit."""

import pytest

from audit.results import Result

from .written import Model, results_of_models

CHECKS = ("smoke.output_forms", "smoke.batch_rows")
IMAGES = "{'x': [torch.randn(6, generator=generator) for _ in range(batch_size)]}"
LOSS = "loss=lambda output, inputs: sum(each['scores'].square().sum() for each in output)"
# An image has one object, and another one where its first number is positive.
FOUND = (
    "found = []\n"
    "        for each in {images}:\n"
    "            n = 1 + int(each[0] > 0)\n"
    "            boxes = self.layer(each).repeat(n, 1) * torch.arange(1, n + 1)[:, None]\n"
    "            found.append({{{item}}})\n"
    "        return found"
)
ITEM = "'boxes': boxes, 'scores': boxes[:, 0]"
RIGHT = FOUND.format(images="x", item=ITEM)
# name: (forward, the outcomes of the checks in their order, what the last of them says)
CASES = {
    "detector": (RIGHT, "passed passed", None),
    "in_a_tuple": (RIGHT.replace("return found", "return tuple(found)"), "passed passed", None),
    "beside_a_tensor": (
        RIGHT.replace("return found", "return {'objects': found, 'mean': torch.stack(x).mean(1)}"),
        "passed passed", None,
    ),
    "keeps_its_list": (  # the next run writes into what this one returned
        RIGHT.replace("return found", "KEPT[:] = found; return KEPT"), "passed passed", None,
    ),
    "mixed": (
        FOUND.format(images="[each - torch.stack(x).mean(0) / 2 for each in x]", item=ITEM), "passed failed",
        "a sample alone gives another output than in a batch",
    ),
    "order_of_the_batch": (
        RIGHT.replace("return found", "return [{key: item * place for key, item in each.items()} "
                      "for place, each in enumerate(found, 1)]"),
        "passed failed", "a sample alone gives another output than in a batch",
    ),
    "squeezed": (
        FOUND.format(images="x", item="'boxes': boxes.squeeze(0), 'scores': boxes[:, 0]"), "failed -",
        "output.*.boxes has ",
    ),
    "another_dtype": (
        FOUND.format(images="x", item="'boxes': boxes, 'scores': boxes[:, 0].double() if len(x) > 2 else boxes[:, 0]"),
        "failed -", "output.*.scores is float32, float32, float64 for batches of 1, 2, 4",
    ),
    "finds_nothing": (  # what is empty on both sides is no evidence, and no difference
        FOUND.format(images="x", item="'boxes': boxes[:0], 'logits': boxes, 'scores': boxes[:, 0]"),
        "passed passed", None,
    ),
    "finds_less_in_a_batch": (
        FOUND.format(images="x", item="'boxes': boxes[: len(x) // 2], 'scores': boxes[:, 0]"), "passed failed",
        "a sample alone gives another output than in a batch",
    ),
    "levels": (  # as many as there are samples in a batch by chance: these are no samples
        "return [self.layer(torch.stack(x)) * factor for factor in (1, 2, 3)]", "passed passed", None,
    ),
    "none_for_each_sample": (
        "return [self.layer(torch.stack(x)).mean(0) * factor for factor in (1, 2, 3)]", "failed -",
        "no output has an axis as long as the batch",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Result]]:
    """The results of each case by their checks."""
    models = {
        name: Model(
            forward=forward,
            entry=f".update(inputs=lambda batch_size, generator: {IMAGES}, "
            + ("loss=lambda output, inputs: output[0].sum()" if "return [self.layer" in forward else LOSS.replace(
                "in output)", "in (output['objects'] if isinstance(output, dict) else output))"
            ))
            + ")",
        )
        for name, (forward, _, _) in CASES.items()
    }  # fmt: skip
    results = results_of_models(tmp_path_factory.mktemp("lists"), models, only=CHECKS)
    return {name: {each.check: each for each in results[name]} for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_each_item_is_the_output_of_a_sample(found: dict[str, dict[str, Result]], name: str) -> None:
    _, outcomes, said = CASES[name]
    wanted = {check: outcome for check, outcome in zip(CHECKS, outcomes.split(), strict=True) if outcome != "-"}
    told = {check: found[name][check] for check in wanted}
    assert {check: each.outcome.value for check, each in told.items()} == wanted, told
    assert (said is None) or said in (list(told.values())[-1].reason or ""), told


def test_the_evidence_names_the_lists(found: dict[str, dict[str, Result]]) -> None:
    evidence = str(found["beside_a_tensor"]["smoke.output_forms"].evidence)
    assert "output.objects (one item for each sample)" in evidence
    assert "output.objects.*.boxes" in evidence
