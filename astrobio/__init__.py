"""Models and physics for exoplanet climates, written in PyTorch.

`list_models` names the models, `create_model` builds one, `model_card` says what it is for and where it ends.
Importing this package loads no model; that happens on the first call.
"""

from astrobio.registry import ModelCard, create_model, list_models, model_card, register_model

__all__ = ["ModelCard", "create_model", "list_models", "model_card", "register_model"]
