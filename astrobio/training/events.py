"""The loss curve as TensorBoard's event files, where the `tensorboard` package is installed (extra `logs`)."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EventLog:
    """Scalars by step in `folder`; without the package, nothing."""

    _writer: "SummaryWriter | None"

    def __init__(self, folder: Path, *, next_step: int, report: Callable[[str], None]) -> None:
        """Open the log; what an interrupted run logged from `next_step` on is marked as void."""
        self._writer = None
        if find_spec("tensorboard") is None:
            report("TensorBoard is not installed (extra `logs`): the loss curve goes to log.jsonl alone")
            return
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=next_step)
        report(f"the loss curve goes to log.jsonl and, for TensorBoard, to {folder}")

    def add(self, record: Mapping[str, float]) -> None:
        """Add one step; every value but the step itself becomes a scalar."""
        if self._writer is None:
            return
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(record["step"]))

    def close(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.close()
