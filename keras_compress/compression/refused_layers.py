"""Say before the training which layers `kc.convert` will refuse after it."""

import warnings

from keras_compress.graph.graph import Call, Graph
from keras_compress.layers import operations
from keras_compress.layers.operations import FUNCTIONS, IN_FLOAT, NO_OPERATOR

_BITS = 8  # Refusals are known of files with activations of this width.
_SHOWN = 5
_WAYS_OUT = {
    IN_FLOAT: "Replace them before the training, or convert with allow_float={names}.",
    NO_OPERATOR: "Replace them before the training, or leave them out of the model.",
}


def warn_refused(graph: Graph, activation_bits: int) -> None:
    """Warn of layers that no file of 8-bit integers holds, as the table of operations tells.

    This needs no conversion, so it cannot find everything: `kc.check` of a model converts it.

    Args:
        graph: The graph of the user's model.
        activation_bits: Width of the activations that are trained.
    """
    if activation_bits != _BITS:
        return
    for refusal, way_out in _WAYS_OUT.items():
        calls = {call.name: call for call in graph.calls if _refusal(call) == refusal}
        if not calls:
            continue
        warnings.warn(
            f"kc.convert refuses these layers in a file of 8-bit integers, because {refusal}: "
            f"{_listed(calls)}. {way_out.format(names=tuple(calls)[:_SHOWN])}",
            stacklevel=3,
        )


def _listed(calls):
    kinds = [f"{name!r} ({_kind(call)})" for name, call in calls.items()]
    more = len(kinds) - _SHOWN
    return ", ".join(kinds[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _refusal(call: Call) -> str | None:
    row = operations.of(call.operation)
    activation = _activation(call)
    return row.refusal or (FUNCTIONS[activation].refusal if activation in FUNCTIONS else None)


def _activation(call):
    """Return the name in `FUNCTIONS` of the activation that a layer applies, or `None`."""
    if not operations.of(call.operation).applies_activation:
        return None
    name = getattr(call.operation.activation, "__name__", "")
    return "".join(part.capitalize() for part in name.split("_"))


def _kind(call):
    refused = operations.of(call.operation).refusal
    return type(call.operation).__name__ if refused else _activation(call)
