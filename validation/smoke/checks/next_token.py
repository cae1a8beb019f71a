"""The loss asks at each position for the token that stands behind it, which is what `generate` takes logits for."""

from torch import Tensor

from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import backward
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.next_token",
    title="The loss asks for the next token",
    proves="Where `generate` is declared, the token whose logit the loss would raise most at a position is, at every "
    "position that takes part in the loss, the one behind it in the batch, and not the one that forward is given there "
    "or any other.",
    defect="labels that are not shifted against the logits",
    severity=Severity.CRITICAL,
)
REQUIRES = (backward.CHECK.id,)
_FARTHEST = 3  # positions by which labels are tried to be shifted
_FEWEST = 8  # positions; of two tokens as likely, so many agree by chance once in 256 times


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Find by how many positions the tokens that the loss asks for are shifted."""
    if model.entry.generate is None:
        return not_applicable("the specs declare no `generate`, so nothing says what logits are of")
    try:
        reply = model.call_on_batch(run, "model_next_token")
    except TargetRaised as raised:
        return error(describe_raised(raised, run.target))
    if reply.get("tokens") is None:
        return not_applicable("the loss does not depend on logits (batch, length, vocabulary) that forward returns")
    tokens, asked = tensors_of(reply, "tokens").get("tokens"), tensors_of(reply, "asked").get("asked")
    if tokens is None or asked is None or tokens.shape != asked.shape:
        raise ProbeFailure("the target's process sent a malformed account of what the loss asks for")
    fitting = [shift for shift in range(-_FARTHEST, _FARTHEST + 1) if _others(tokens, asked, shift) == 0]
    if not fitting:
        return not_applicable("what the loss asks for are no tokens of the batch, shifted alike at all positions")
    if 1 in fitting and len(fitting) > 1:
        other = next(shift for shift in fitting if shift != 1)
        return error(
            f"the batch does not tell: the token {_where(1)} is everywhere that {_where(other)} as well",
            fix="let 'inputs' draw tokens that differ from one another",
        )
    asked_for = int((asked >= 0).sum())
    return judged(
        Measured(
            value=_others(tokens, asked, 1) or 0,
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"{asked_for} positions with a gradient of the loss by their logits, each with its lowest at the "
            f"token that is asked for; those without a token behind them in the batch are left out",
            unit="positions that ask for another token",
        ),
        otherwise=f"the loss asks at each position for the token {_where(fitting[0])}, and `generate` takes its logits "
        "for the next",
        fix="compare logits[:, :-1] with tokens[:, 1:]",
    )


def _others(tokens: Tensor, asked: Tensor, shift: int) -> int | None:
    """Return at how many positions another token is asked for than the one `shift` behind; None where too few ask."""
    length = tokens.shape[1]
    begin, end = max(0, -shift), length - max(0, shift)
    if begin >= end:
        return None
    wanted, compared = asked[:, begin:end], tokens[:, begin + shift : end + shift]
    asks = wanted >= 0
    return int((wanted != compared)[asks].sum()) if int(asks.sum()) >= _FEWEST else None


def _where(shift: int) -> str:
    if shift == 0:
        return "given to forward there"
    side = "behind" if shift > 0 else "before"
    return f"{abs(shift)} {side} it"
