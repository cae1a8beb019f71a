"""Each token that a model generates is the likeliest one by a forward over all before it."""

from dataclasses import replace

from torch import Tensor

from audit.catalog import Generate
from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, number_of
from audit.results import Check, Comparison, Severity
from validation.smoke.alike import ORIGIN, gaps, moved_of
from validation.smoke.checks import determinism
from validation.smoke.compare import unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.generates",
    title="What is generated is what the model predicts",
    proves="Every token with which `generate` continues a prompt is the likeliest one by a single forward over what "
    "stands before it, wherever rounding does not decide which that is; where a token is declared that ends, a row "
    "that has ended holds padding; the mode of the model is afterwards as before.",
    defect="a cache of keys whose positions begin anew with each token",
    severity=Severity.CRITICAL,
)
REQUIRES = (determinism.CHECK.id,)
_UNFIT = "give in `generate` the `inputs` that forward takes for other tokens, and the `logits` of what it returns"
_FIX = "continue positions, masks and states from the tokens that the cache holds"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare what was generated with what one forward says."""
    rules = model.entry.generate
    if rules is None:
        return not_applicable("the specs declare no `generate`")
    try:
        reply = model.call_on_batch(run, "model_generates")
    except TargetRaised as raised:
        # A forward on tokens of another number than those of the batch may be given what does not fit them.
        judgement = judge_raised(raised, run.target, phases=("generate",))
        return replace(judgement, fix=_UNFIT) if raised.phase in ("forward", "logits") else judgement
    tokens, whole = tensors_of(reply, "tokens").get("tokens"), tensors_of(reply, "logits")
    length = int(number_of(reply, "length"))
    logits = whole.get("logits")
    if tokens is None or logits is None or logits.shape[:2] != tokens.shape or not 0 < length < tokens.shape[1]:
        raise ProbeFailure("the target's process sent a malformed account of what was generated")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    if int(tokens.min()) < 0 or int(tokens.max()) >= logits.shape[2]:
        return failed(f"a token beyond the vocabulary of {logits.shape[2]} was generated")
    (gap,) = gaps(whole, whole, moved_of(reply))
    told, wrong = _compared(tokens, logits, length, rules, 2 * gap.bound)  # of a difference of two logits
    forgotten = tensors_of(reply, "forgotten").get("logits")
    if not told:
        return error("rounding alone decides which token is the likeliest, at each that was generated")
    if forgotten is None or forgotten.shape != (len(tokens), tokens.shape[1] - length, logits.shape[2]):
        raise ProbeFailure("the target's process sent a malformed account of what was generated")
    needing = int((forgotten.argmax(-1) != logits[:, length - 1 : -1].argmax(-1)).sum())
    if not needing and not wrong:
        return error(
            "each token is the likeliest after the one before it alone: whether others are remembered was not tested",
            fix="let the specs build a model whose predictions depend on more than the last token",
        )
    ended = None if reply.get("ended") is None else tensors_of(reply, "ended").get("tokens")
    about_end, not_padded = _after_the_end(ended, tokens, length, rules)
    wrong += not_padded
    if not wrong and (left := names_of(reply, "in_training")):
        return failed(
            f"what continues a prompt leaves {', '.join(left[:3])} in train mode",
            fix="remember module.training, and set it again at the end",
        )
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"{told} tokens whose logit is above all others by more than rounding, {needing} of these not the "
            f"likeliest after the last token alone; the model has noise among its weights; 2 x "
            f"({ORIGIN}){about_end}",
            unit="other tokens",
        ),
        otherwise="; ".join(wrong[:3]),
        fix=_FIX if len(wrong) > len(not_padded) else "hold padding in a row behind the token that ends it",
    )


def _compared(tokens: Tensor, logits: Tensor, length: int, rules: Generate, bound: float) -> tuple[int, list[str]]:
    """Return how many new tokens can be told from the next likely one, and which are others than the likeliest."""
    told, wrong = 0, list[str]()
    for row, (of_row, predicted) in enumerate(zip(tokens.tolist(), logits, strict=True)):
        for at in range(length, len(of_row)):
            if rules.ends is not None and rules.ends in of_row[length:at]:
                break
            best = predicted[at - 1].topk(min(2, predicted.shape[1]))
            first, likeliest = float(best.values[0]), int(best.indices[0])
            if first - float(best.values[-1]) > bound:
                told += 1
            if first - float(predicted[at - 1, of_row[at]]) > bound:
                wrong.append(
                    f"row {row}, new token {at - length + 1} is {of_row[at]}, and forward says {likeliest}, by "
                    f"{first - float(predicted[at - 1, of_row[at]]):.3g}"
                )
    return told, wrong


def _after_the_end(ended: Tensor | None, tokens: Tensor, length: int, rules: Generate) -> tuple[str, list[str]]:
    """Return what is said of a row that was made to end, and what is wrong behind its end and in the other rows."""
    if rules.ends is None:
        return "", []
    row = [] if ended is None else ended[0, length:].tolist()
    if rules.ends not in row[:-1]:
        return "; no row could be made to end, so what stands behind an end was not looked at", []
    end = row.index(rules.ends)
    behind = row[end + 1 :]
    wrong = [f"behind the end stands {token}, and not {rules.pads}" for token in behind if token != rules.pads]
    if ended is not None and not ended[1:].equal(tokens[1:]):
        wrong.append("a row that ends changes what is generated in others")
    return f"; a row made to end at its new token {end + 1} holds padding from there on", wrong
