"""The models of this package by name."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # torch loads with the first model, not with the registry
    import torch
    from torch import Tensor, nn

ModelT = TypeVar("ModelT", bound="nn.Module")

# Modules whose import registers models.
_MODEL_MODULES = (
    "astrobio.models.climate_diffusion",
    "astrobio.models.climate_surrogate",
    "astrobio.models.datacube_unet",
    "astrobio.models.habitability_fusion",
    "astrobio.models.metabolic_graph_vae",
    "astrobio.models.sequence_decoder",
    "astrobio.models.spectral_autoencoder",
)


@dataclass(frozen=True)
class ModelCard:
    """What a model is for, and where it ends.

    Attributes:
        task: what the model predicts from what.
        inputs: name of each `forward` argument, with shape and meaning.
        outputs: name of each output, with shape and meaning.
        units: unit of every input and output quantity.
        license: SPDX identifier of the code and of weights trained with it.
        limits: what the model must not be used for, one sentence each.
        references: the papers behind it, "author, year, title".
        columns: input -> what its last dimension holds, where that is a table.
        ranges: input or column -> lowest and highest value the model may be asked about; others are refused where
            inputs are checked.
        free_dims: input -> dimensions that may have any size, beside those that differ with the batch.
    """

    task: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    units: dict[str, str]
    license: str
    limits: tuple[str, ...]
    references: tuple[str, ...] = field(default=())
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    free_dims: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredModel:
    """One model of the registry.

    Attributes:
        class_path: "module:class" of the model's class.
        build: the model with the given settings of its configuration replaced.
        overrides: the names of those settings.
        card: what the model is for.
        sample_inputs: (batch_size, generator) -> keyword arguments of `forward`.
        loss: (output, inputs) -> scalar to minimise.
    """

    class_path: str
    build: "Callable[..., nn.Module]"
    overrides: tuple[str, ...]
    card: ModelCard
    sample_inputs: "Callable[[int, torch.Generator], dict[str, Tensor]]"
    loss: "Callable[[Any, dict[str, Tensor]], Tensor]"


_REGISTRY: dict[str, RegisteredModel] = {}


def register_model(
    name: str,
    *,
    config: object,
    card: ModelCard,
    sample_inputs: "Callable[[int, torch.Generator], dict[str, Tensor]]",
    loss: "Callable[[Any, dict[str, Tensor]], Tensor]",
) -> "Callable[[type[ModelT]], type[ModelT]]":
    """Register the decorated model class under `name`, built from `config`.

    The class takes its configuration, a dataclass, as the only argument. Decorate it once per name.

    Raises:
        ValueError: the name is taken.
        TypeError: `config` is not a dataclass instance.
    """
    if name in _REGISTRY:
        raise ValueError(f"a model named {name!r} is already registered: {_REGISTRY[name].class_path}")
    if not is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"config must be a dataclass instance, got {config!r}")
    settings = tuple(setting.name for setting in fields(config) if setting.init)

    def register(model_class: type[ModelT]) -> type[ModelT]:
        def build(**overrides: object) -> "nn.Module":
            return model_class(replace(config, **overrides))

        _REGISTRY[name] = RegisteredModel(
            class_path=f"{model_class.__module__}:{model_class.__qualname__}",
            build=build,
            overrides=settings,
            card=card,
            sample_inputs=sample_inputs,
            loss=loss,
        )
        return model_class

    return register


def list_models() -> tuple[str, ...]:
    """The names of all registered models, sorted."""
    _load_models()
    return tuple(sorted(_REGISTRY))


def create_model(name: str, **overrides: object) -> "nn.Module":
    """A new, untrained model.

    Args:
        name: one of `list_models()`.
        **overrides: settings of the model's configuration to change.

    Raises:
        ValueError: unknown name, unknown setting (the message lists the valid ones), or a setting out of range.
    """
    entry = registered_model(name)
    unknown = sorted(set(overrides) - set(entry.overrides))
    if unknown:
        raise ValueError(f"{name} has no setting {', '.join(unknown)}; it has: {', '.join(entry.overrides)}")
    return entry.build(**overrides)


def model_card(name: str) -> ModelCard:
    """What the model is for, and where it ends.

    Raises:
        ValueError: unknown name; the message lists the valid ones.
    """
    return registered_model(name).card


def registered_model(name: str) -> RegisteredModel:
    """The whole entry of one model.

    Raises:
        ValueError: unknown name; the message lists the valid ones.
    """
    names = list_models()
    if name not in names:
        raise ValueError(f"unknown model {name!r}; choose from: {', '.join(names)}")
    return _REGISTRY[name]


def name_of_model(model: "nn.Module") -> str:
    """The name under which the model's class is registered, the first where there are several.

    Raises:
        ValueError: the class is not registered.
    """
    class_path = f"{type(model).__module__}:{type(model).__qualname__}"
    for name in list_models():
        if _REGISTRY[name].class_path == class_path:
            return name
    raise ValueError(f"{class_path} is not a registered model")


def _load_models() -> None:
    for module in _MODEL_MODULES:
        import_module(module)
