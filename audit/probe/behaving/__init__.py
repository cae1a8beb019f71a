"""What a registered model does with its inputs, its gradients and its numbers."""

from collections.abc import Callable

from . import (
    compiled,
    contents,
    directions,
    future,
    generation,
    global_state,
    gradients,
    inference,
    modes,
    outputs_alike,
    overfitting,
    padded_rows,
    padding,
    precision,
    residual,
    sample_order,
)

PROCEDURES: dict[str, Callable[..., dict[str, object]]] = {
    "model_forms": outputs_alike.forms,
    "model_rows": outputs_alike.rows,
    "model_in_other_order": sample_order.other_order,
    "model_layouts": outputs_alike.layouts,
    "model_untouched": outputs_alike.untouched,
    "model_padding": padding.padding,
    "model_padded_rows": padded_rows.padded_rows,
    "model_future": future.future,
    "model_residual": residual.residual,
    "model_global_state": global_state.global_state,
    "model_infers": inference.infers,
    "model_generates": generation.generates,
    "model_modes": modes.modes,
    "model_of_inputs": gradients.of_inputs,
    "model_with_frozen": gradients.with_frozen,
    "model_recomputed": gradients.recomputed,
    "model_accumulated": gradients.accumulated,
    "model_along_directions": directions.along_directions,
    "model_lower": precision.lower,
    "model_compiles": compiled.compiles,
    "model_exports": compiled.exports,
    "model_overfit": overfitting.overfit,
    "model_contents": contents.contents,
}
