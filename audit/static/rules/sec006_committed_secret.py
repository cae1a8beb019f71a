"""SEC006: a private key or an access token in the source."""

import ast
import re
from collections.abc import Iterator, Set

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Rule, Spot

_IS = r"[\"']?\s{0,4}[=:]\s{0,4}[\"']?"  # between a name and its value
_PREFIXES = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=\s]{64,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{34}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{82}\b",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20}\b",
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Slack token": r"\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{16,}",
    "an OpenAI key": r"\bsk-(?:proj-)?[A-Za-z0-9_-]{20}T3BlbkFJ[A-Za-z0-9_-]{20,}",
    "an Anthropic key": r"\bsk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,}",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "a Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{24,}\b",
    "an AWS secret key": rf"(?i:\baws_secret_access_key{_IS})[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+=])",
    "a Weights & Biases key": rf"(?i:\bwandb_api_key{_IS})[0-9a-f]{{40}}\b",
    "a PyPI token": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
}
_SECRETS = {kind: re.compile(pattern) for kind, pattern in _PREFIXES.items()}
# What these hold, for a quick look at a whole text.
WORDS: tuple[str, ...] = (
    "PRIVATE KEY",
    "hf_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
    "xox",
)
WORDS += ("sk-", "AIza", "pypi-", "npm_", "k_live_")
_NAMES = ("aws_secret_access_key", "wandb_api_key")
WORDS += (*_NAMES, *map(str.upper, _NAMES))
_BEGINNING = re.compile(r"|".join(WORDS))
_TEXTS = (str, bytes)
_SHORTEST = 20
_MANY = 6  # a real token has more different characters than `AKIAXXXXXXXXXXXXXXXX`
_EXAMPLE = re.compile(r"example|0123456789|1234567890|abcdefgh|x{5}|0{8}", re.IGNORECASE)


class CommittedSecret(Rule):
    """Reports what has the form of a secret; the message holds its first characters only."""

    id = "SEC006"
    title = "A private key or access token in the source"
    severity = Severity.CRITICAL
    what = (
        "Reports string literals that hold a private key, or a token of Hugging Face, GitHub, GitLab, AWS, Slack, "
        "OpenAI, Anthropic, Google, PyPI, npm or Stripe. Secret keys of AWS and keys of Weights & Biases are told by "
        "the name in front of them, in one text. Placeholders are left alone."
    )
    why = "Everybody who can read the repository, now or in its history, can use it."
    fix = "revoke it, then read it from the environment; a commit that removes it leaves it in the history"
    references = (
        "https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns",
    )
    precision = Precision(findings=1, sampled=1, false=0)
    nodes = (ast.Constant,)
    VALID = (
        """
        import os

        token = os.environ['HF_TOKEN']
        """,
        "key = 'AKIAIOSFODNN7EXAMPLE'\n",
        "header = '-----BEGIN PRIVATE KEY-----'\n",
        "token = 'hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'\n",
    )
    INVALID = (
        "token = 'hf_' 'QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi'\n",
        "key = 'AKIA' 'Q3EGRT7ZK2VPLM4N'\n",
        "token = 'npm_' 'QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUiOp'\n",
        "key = 'sk_live_' 'QwErTyUiOpAsDfGhJkLzXcVb'\n",
    )

    def candidates(self, context: FileContext) -> list[ast.Constant]:
        """Return the strings that are long enough and may hold a secret."""
        constants: list[ast.Constant] = context.index.by_type.get(ast.Constant, [])  # type: ignore[assignment]
        return [
            node
            for node, value in zip(constants, context.index.constant_values, strict=True)
            if isinstance(value, _TEXTS)
            and len(value) >= _SHORTEST
            and (isinstance(value, bytes) or _BEGINNING.search(value))
        ]

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a literal that holds a secret."""
        for kind, _, secret in _secrets_at(node):
            yield Spot(node, f"the source holds {kind} ({secret[:4]}..., {len(secret)} characters)")


def _secrets_at(node: ast.AST) -> Iterator[tuple[str, int, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, _TEXTS) and len(node.value) >= _SHORTEST:
        yield from secrets_in(node.value if isinstance(node.value, str) else node.value.decode(errors="replace"))


def secrets_of(tree: ast.Module) -> set[str]:
    """Return the secrets that the rule reports in code."""
    return {secret for node in ast.walk(tree) for _, _, secret in _secrets_at(node)}


def secrets_in(text: str, *, known: Set[str] = frozenset()) -> Iterator[tuple[str, int, str]]:
    """Yield the kind, the place and the text of the first secret of each kind that is not `known`; no placeholders."""
    if not _BEGINNING.search(text):
        return
    for kind, pattern in _SECRETS.items():
        for found in pattern.finditer(text):
            if found.group() in known:
                continue
            if len(set(found.group())) > _MANY and not _EXAMPLE.search(found.group()):
                yield kind, found.start(), found.group()
                break
