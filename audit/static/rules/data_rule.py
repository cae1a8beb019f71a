"""What the rules over data files share: each is about one kind of content that the inventory saw."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.static.kinds import Content
from audit.static.rules.project_rule import Place, ProjectPrecision, ProjectRule

if TYPE_CHECKING:
    from audit.static.inventory import InventoryItem
    from audit.static.rules.project_files import ProjectFiles


class DataRule(ProjectRule):
    """A rule about files of weights and data whose content is one of `contents`."""

    precision = ProjectPrecision(
        findings=0, sampled=0, false=0, corpus="91 files of weights and data of installed packages"
    )
    contents: ClassVar[tuple[Content, ...]]

    def concerned(self, project: "ProjectFiles") -> tuple[str, ...]:
        """Return the files of weights and data."""
        return tuple(item.path for item in project.data)

    def judge_project(self, project: "ProjectFiles") -> Iterator[Place]:
        """Yield the files with such a content."""
        for item in project.data:
            if item.facts.get("content") in self.contents:
                yield Place(path=item.path, line=1, column=1, end_column=1, message=self.message(item))

    @abstractmethod
    def message(self, item: "InventoryItem") -> str:
        """Return what the user reads of a file."""
