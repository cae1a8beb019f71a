"""Several documents in one row, where a call takes the number of the document that each token is of."""

import torch

from audit.attention.subject import AttentionSubject, Case
from audit.gateway.client import Plain


def documents_argument(subject: AttentionSubject) -> tuple[str, Plain] | None:
    """Return the argument that takes the numbers, and what to give it: two documents, half of the tokens each."""
    found = subject.form.get("optional")
    for entry in found if isinstance(found, list) else []:
        if isinstance(entry, dict) and entry["role"] == "documents" and not entry["unused"]:
            assert isinstance(entry["values"], list)
            return str(entry["name"]), entry["values"][0]
    return None


def with_documents(subject: AttentionSubject, case: Case, name: str) -> Case:
    """Return the case under another name, its tokens of two documents; the argument must be there."""
    argument = documents_argument(subject)
    assert argument is not None
    return case.under(name, more={argument[0]: argument[1]})


def first_document(length: int) -> torch.Tensor:
    """Return which tokens are of the first document, as the probe numbers them: bool, (L,)."""
    return torch.arange(length) < length // 2
