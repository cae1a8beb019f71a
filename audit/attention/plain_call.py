"""One more call of a subject on its plain case, which tells what the properties did not ask for."""

from collections.abc import Mapping

from safetensors.torch import save as save_safetensors

from audit.attention.answers import Settled
from audit.attention.cases import plain_case
from audit.attention.subject import AttentionSubject
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.plan import Run


def reply_to_plain(subject: AttentionSubject, run: Run, procedure: str) -> Mapping[str, Plain] | None:
    """Return what a procedure of the probe says of a forward in the finest dtype.

    None where the call ends otherwise than those before it: then it tells nothing of them.
    """
    case = plain_case(subject, subject.generator(run.seed))
    tensors = subject.as_sent(case, subject.finest_dtype).tensors
    keys: dict[str, Plain] = {name: name for name in tensors}
    try:
        reply = run.probe.call(
            procedure,
            subject=dict(subject.source),
            declared=subject.declared,
            seed=run.seed,
            dtype=subject.finest_dtype,
            calls=[{"kind": "forward", "is_causal": case.is_causal, **keys}],
            tensors=save_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()}),
        )
        subject.refuse_another(reply)
    except (ProbeFailure, TargetRaised, Settled):
        return None
    return reply
