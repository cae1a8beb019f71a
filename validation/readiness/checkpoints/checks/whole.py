"""A file of weights holds weights, and which ones is on record."""

from dataclasses import replace

from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from audit.static.kinds import Content
from audit.static.rules.dat001_pointer_for_data import PointerForData
from audit.static.rules.dat002_error_page_for_data import ErrorPageForData
from audit.static.rules.dat003_empty_data import EmptyData
from validation.readiness.checkpoints.file import Checkpoint
from validation.readiness.checkpoints.forms import NotRead

CHECK = Check(
    id="checkpoints.whole",
    title="The file of weights was fetched",
    proves="The file is no pointer of git-LFS, no error page and not empty. Its size is the measurement, and its "
    "SHA-256 the digest of the subject.",
    defect="a git-LFS pointer in place of the weights",
    severity=Severity.MAJOR,
)
_RULES = (PointerForData(), ErrorPageForData(), EmptyData())


def judge(checkpoint: Checkpoint, run: Run) -> Judgement:
    """Judge what the inventory saw at the file's beginning, and take size and digest."""
    run.probe.read.paths.add(str(checkpoint.path))  # what is kept of the results holds while the file is the same
    content = checkpoint.item.facts.get("content")
    if content == Content.UNREADABLE:
        return error("it cannot be read")
    for rule in _RULES:
        if content in rule.contents:
            return failed(rule.message(checkpoint.item), fix=rule.fix)
    try:
        digest, size = checkpoint.digest()
    except NotRead as reason:
        return error(str(reason))
    passed = judged(
        Measured(
            value=size,
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin="an empty file holds no weights",
            unit="bytes",
        ),
        otherwise="the file is empty",
    )
    return replace(passed, subject=checkpoint.subject.model_copy(update={"digest": digest}))
