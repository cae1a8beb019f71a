"""The shell scripts of a project, by their suffix or their first line."""

import re

from validation.readiness.project import Project

_SUFFIXES = (".sh", ".bash")
_BASH = re.compile(rb"^#!\s*\S*/(?:env\s+(?:-S\s+)?)?(?:bash|sh|dash)\b")
_TEMPLATE = re.compile(r"\{\{|\{%|<%|@[A-Z_]{3,}@")


def shell_scripts_of(project: Project) -> tuple[str, ...]:
    """Return the paths of the scripts for bash or sh; not those of other shells, nor templates of scripts."""
    found = []
    for path in project.files:
        name = path.rpartition("/")[2]
        if name.endswith(_SUFFIXES):
            head = project.head(path)
            if not head.startswith(b"#!") or _BASH.match(head):
                found.append(path)
        elif "." not in name.lstrip(".") and _BASH.match(project.head(path)):
            found.append(path)
    return tuple(path for path in found if not _is_template(project, path))


def _is_template(project: Project, path: str) -> bool:
    text = project.text(path)
    return text is None or (bool(_TEMPLATE.search(text.content)) and "template" in path.lower())
