"""The kinds of the inventory, and which class names outside the target decide one."""

from enum import StrEnum

from audit.static.torch_classes import TorchClasses


class InventoryKind(StrEnum):
    """What a part of the target was found to be."""

    MODEL = "model"  # some chain of bases reaches `torch.nn.Module`
    DATASET = "dataset"  # reaches `torch.utils.data.Dataset`, of which `IterableDataset` is a subclass
    DATAMODULE = "datamodule"  # reaches Lightning's `LightningDataModule`
    OPTIMIZER = "optimizer"  # reaches `torch.optim.Optimizer`
    SCHEDULER = "scheduler"  # reaches `torch.optim.lr_scheduler.LRScheduler`
    SAMPLER = "sampler"  # reaches `torch.utils.data.Sampler`
    ATTENTION = "attention"  # a class or function that computes attention
    TRAINING_SCRIPT = "training_script"  # a file with an optimisation loop, or a trainer's call, and a way to start it
    DATA_PIPELINE = "data_pipeline"  # a construction of a DataLoader
    ENTRY_POINT = "entry_point"  # a way in from a command line
    TEST = "test"  # a file of tests
    CHECKPOINT = "checkpoint"  # a file of weights
    DATA_FILE = "data_file"
    EXTENSION = "extension"  # compiled code, or code that is compiled when it runs
    UNRESOLVED = "unresolved"  # a class that reaches none of these, and some chain ends in a base that was not found


class Content(StrEnum):
    """What a file of weights or data really holds."""

    PLAIN = "content"  # nothing speaks against it
    EMPTY = "empty"
    POINTER = "git-lfs pointer"  # the content was not fetched
    HTML = "html page"  # an error page that was saved under the file's name
    ERROR = "error message"  # a server's answer in JSON, saved under the file's name
    UNREADABLE = "unreadable"


# Lightning's roots, for where it is not installed. `LightningModule` is a `torch.nn.Module`.
_LIGHTNING = {
    "LightningDataModule": (InventoryKind.DATAMODULE, "datamodule"),
    "LightningModule": (InventoryKind.MODEL, "module"),
}
_LIGHTNING_PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _lightning_names() -> dict[str, InventoryKind]:
    found: dict[str, InventoryKind] = {}
    for name, (kind, module) in _LIGHTNING.items():
        found[f"lightning.{name}"] = kind
        for package in _LIGHTNING_PACKAGES:
            for place in ("", ".core", f".core.{module}"):
                found[f"{package}{place}.{name}"] = kind
    return found


LIGHTNING_NAMES = _lightning_names()
LIGHTNING_MODULES = frozenset(name for name, kind in LIGHTNING_NAMES.items() if kind is InventoryKind.MODEL)


def kinds_of_name(name: str, table: TorchClasses) -> frozenset[InventoryKind]:
    """Return the kinds that the class of this full name has, and every class that derives from it."""
    found = {InventoryKind(kind) for kind, _ in table.kinds.get(name, ())}
    if table.module_class(name):
        found.add(InventoryKind.MODEL)
    if name in LIGHTNING_NAMES:
        found.add(LIGHTNING_NAMES[name])
    return frozenset(found)


def kinds_of_definition(name: str, table: TorchClasses) -> frozenset[InventoryKind]:
    """Return the kinds of the class defined at this place: the sources of torch or Lightning are the target itself."""
    found = {InventoryKind(kind) for kind in table.defined_kinds.get(name, ())}
    if name in LIGHTNING_NAMES:
        found.add(LIGHTNING_NAMES[name])
    return frozenset(found)
