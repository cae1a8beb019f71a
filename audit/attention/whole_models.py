"""A model that is named as `FILE::NAME` and takes token ids: what attends in it is judged, and its forward traced."""

from dataclasses import dataclass, replace
from pathlib import Path

from audit.attention.carried import span_of
from audit.attention.found import ask_model
from audit.attention.inside import attention_inside, token_lookup
from audit.attention.named import is_model_class
from audit.attention.without import holds_no_attention
from audit.collected import Collected
from audit.judgement import Judgement, error
from audit.plan import Group, PlannedCheck, Run
from audit.replies import text_of
from audit.results import Check, Subject, SubjectKind
from audit.static.inventory import InventoryItem


@dataclass(frozen=True, kw_only=True)
class WholeModel:
    """The class, the call that looks its token ids up, and the attention of the inventory that it uses."""

    item: InventoryItem
    source: Path
    subject: Subject
    lookup: str
    inside: tuple[InventoryItem, ...]

    def group(self, check: Check) -> Group:
        """Return the group of `check`, which judges what a forward shows and the inventory does not know."""
        planned = PlannedCheck(check=check, subject=self.subject, judge=self._judge)
        return Group(subject=self.subject, planned=(planned,))

    def _judge(self, run: Run) -> Judgement:
        from audit.attention.answers import Settled
        from audit.attention.model_cores import judge

        place = self.source / self.item.path
        reply = ask_model(run.probe, place, self.item.qualname, seed=run.seed)
        if reply.get("problem") is not None:
            return error(
                f"{self._is_whole}, and none of its forwards could be traced: {text_of(reply, 'problem')}",
                fix="write a spec; `astrobio-audit spec "
                f"{self.subject.path}::{self.item.qualname}` prints one to begin with",
            )
        spans = [span_of(self.source / each.path, each.qualname, each.line) for each in self.inside]
        try:
            judgement = judge(text_of(reply, "guess"), self.item.qualname, spans, run)
        except Settled as settled:
            judgement = settled.judgement
        if judgement.reason is not None:
            judgement = replace(judgement, reason=f"{self._is_whole}: {judgement.reason}")
        if judgement.measured is not None and (loading := text_of(reply, "loading")):
            measured = judgement.measured
            judgement = replace(judgement, measured=replace(measured, origin=f"{measured.origin}; {loading}"))
        return judgement

    @property
    def _is_whole(self) -> str:
        names = ", ".join(each.qualname for each in self.inside)
        judged = f"what attends in it is judged by itself ({names})" if names else "what attends in it is traced"
        return f"it takes token ids, which `{self.lookup}` looks up, and is no attention itself; {judged}"


def whole_model(collected: Collected, item: InventoryItem) -> WholeModel | None:
    """Return what is known of a named model that takes token ids; None of anything else, and where nothing attends."""
    if not is_model_class(collected, item):
        return None
    source = collected.target.source
    lookup = token_lookup(source / item.path, item.qualname)
    if lookup is None:
        return None
    inside = attention_inside(collected.target, source / item.path, item.qualname)
    if not inside and "mechanisms" not in item.facts and holds_no_attention(source / item.path, item.qualname):
        return None
    subject = Subject(
        kind=SubjectKind.MODEL,
        module=item.module,
        qualname=item.qualname,
        path=collected.rooted(item.path),
        line=item.line,
        digest=item.digest,
    )
    return WholeModel(item=item, source=source, subject=subject, lookup=lookup, inside=tuple(inside))
