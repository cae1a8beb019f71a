"""Samples of a batch do not affect each other."""

import torch

from audit.attention.answers import Settled
from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, plain_case, plane_length, replaced_keys, sample_of, with_mask
from audit.attention.properties.documents import documents_argument, first_document, with_documents
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, failed, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.batch_rows",
    title="Samples of a batch do not affect each other",
    proves="A sample has the same output alone, among two and among three, whatever the others hold and however they "
    "are padded; where a call takes the numbers of documents, one in the same row has no influence on another either.",
    defect="a softmax over the batch",
    severity=Severity.CRITICAL,
)

_BATCH = 3
_PADDED = (2, 0, 4)  # keys at the end of each sample that are masked, differing so that no sample has another's mask


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare a sample alone with the same among others."""
    generator = subject.generator(run.seed)
    length = plane_length(subject)
    three = plain_case(subject, generator, batch=_BATCH, length=length)
    other = plain_case(subject, generator, batch=_BATCH, length=length)
    mixed = {name: torch.cat((tensor[:1], other.tensors[name][1:])) for name, tensor in three.tensors.items()}
    last = _BATCH - 1
    before = {name: torch.cat((other.tensors[name][:last], tensor[last:])) for name, tensor in three.tensors.items()}
    # A case, which of its samples is compared, and with which of the first case.
    parts: list[tuple[Case, int, int]] = [
        (sample_of(three, 0).replaced("a sample alone"), 0, 0),
        (sample_of(three, 0, 1).replaced("two samples of three"), 1, 1),
        (three.replaced("the other samples replaced", **mixed), 0, 0),
        (three.replaced("the samples before it replaced", **before), last, last),
    ]
    cases, masked = [three, *(case for case, _, _ in parts)], []
    if subject.contract.key_mask:
        mask = torch.ones(_BATCH, key_length(three), dtype=torch.bool)
        for sample, padded in enumerate(_PADDED):
            mask[sample, key_length(three) - padded :] = False
        ragged = with_mask(subject, three, mask, "padded samples alone")
        masked = [ragged, *(sample_of(ragged, sample) for sample in range(_BATCH))]
    packed = _packed(subject, three, generator)
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [*cases, *masked, *packed])
    except (Settled, TargetRaised) as refused:
        return _refused(subject, run, three, refused)
    whole, bound = runs.outputs[0], runs.bound
    if trouble := no_reference(whole, bound):
        return trouble
    if distance(whole[0], whole[1]) <= bound:
        return error("two samples have the same output: nothing was tested")
    deviations = [
        (dtype, Deviation(case=case.name, error=distance(output[part], whole[sample]), bound=bound))
        for (case, part, sample), output in zip(parts, runs.outputs[1:], strict=False)
    ]
    if masked:
        together, *alone = runs.outputs[len(cases) : len(cases) + len(masked)]
        # A function has no padded queries to leave out; those of a module are nobody's.
        lengths = [None if subject.is_function or subject.contract.context_dim else -n or None for n in _PADDED]
        found = [
            distance(each[0, ..., :end, :], together[sample, ..., :end, :])
            for sample, (each, end) in enumerate(zip(alone, lengths, strict=True))
        ]
        deviations.append((dtype, Deviation(case=masked[0].name, error=max(found), bound=bound)))
    if packed:
        first = first_document(whole.shape[-2])
        numbered, *moved = runs.outputs[-len(packed) :]
        for case, output, kept in zip(packed[1:], moved, (first, ~first), strict=True):
            apart = distance(output[:, kept], numbered[:, kept])
            deviations.append((dtype, Deviation(case=case.name, error=apart, bound=bound)))
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="the output of a sample depends on the other samples, as where the softmax runs over the batch or "
        "heads get another sample's mask: {case}",
        fix="keep the batch the first axis until after the product with the values, and repeat masks head by head",
    )


def _packed(subject: AttentionSubject, three: Case, generator: torch.Generator) -> list[Case]:
    """Return the case with two documents in each row, and with the second and then the first replaced; or nothing."""
    if documents_argument(subject) is None:
        return []
    first = first_document(key_length(three)).expand(_BATCH, -1)
    return [
        with_documents(subject, three, "two documents in a row"),
        with_documents(subject, replaced_keys(three, ~first, generator), "the second document of a row replaced"),
        with_documents(subject, replaced_keys(three, first, generator), "the first document of a row replaced"),
    ]


def _refused(subject: AttentionSubject, run: Run, three: Case, refused: Settled | TargetRaised) -> Judgement:
    """Say what an exception or an output of another shape means: of what was guessed, the batch size alone is clear."""
    if subject.is_declared:
        return refused.judgement if isinstance(refused, Settled) else call_raised(subject, run, refused)

    def refusal(*cases: Case) -> str | None:
        try:
            subject.forward(run, subject.finest_dtype, cases, opened=True)
        except Settled as settled:
            return settled.judgement.reason
        except TargetRaised as raised:
            return describe_raised(raised, run.target)
        return None

    if reason := refusal(sample_of(three, 0, 1), three):
        return not_applicable(f"undeclared: which batch sizes it takes; {reason}")
    if reason := refusal(sample_of(three, 0)):
        return failed(
            f"a sample alone is refused where two are not, as where an axis of size one is squeezed: {reason}",
            fix="name the axis that is squeezed, and let it not be the batch",
        )
    return error(f"with padded samples: {refused}")
