"""An LSTM as one operator for all its steps."""

from collections.abc import Callable
from typing import Any

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, lacks
from keras_compress.converters.sequence_lstm import SequenceLstm
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call
from keras_compress.graph.implicit_masks import hides_steps
from keras_compress.support.types import Tensors

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# What stands in the way and has a way out of its own.
STATEFUL = "stateful=True"
HIDDEN_STEPS = "Masking or Embedding(mask_zero=True) hides steps from it"
_MERGES: dict[str | None, Callable[[list], Any]] = {
    "concat": lambda both: keras.ops.concatenate(both, axis=-1),
    # keras.ops.add takes an array with a batch of 1 for a bias, and reshapes it.
    "sum": lambda both: both[0] + both[1],
    "mul": lambda both: both[0] * both[1],
    "ave": lambda both: (both[0] + both[1]) / 2,
    None: list,
}


class FusedLstm(Rewrite):
    """LSTM, or Bidirectional(LSTM) as two of them, as UNIDIRECTIONAL_SEQUENCE_LSTM.

    The file then takes the same bytes however many steps the sequences have. An LSTM that was built
    with `unroll=True` stays unrolled: its file keeps no state from one run to the next.
    """

    layers = (keras.layers.RNN, keras.layers.Bidirectional)
    serves_shared = True
    keeps_weights = True

    def __init__(self) -> None:
        self._made: dict[keras.layers.Layer, Rewritten] = {}

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the target computes in 8-bit integers and has the operator."""
        return (
            not profile.is_float and profile.activation_bits == 8 and not lacks(profile, OPERATOR)
        )

    def replacement(self, call: Call) -> Callable | None:
        """Return one operator for each direction, and the merge of two directions."""
        layer = call.operation
        if obstacle(call) or any(part.unroll for part in directions(layer)):
            return None
        if layer not in self._made:
            self._made[layer] = _rewritten(layer)
        return self._made[layer]


def directions(layer: keras.layers.Layer) -> tuple[keras.layers.RNN, ...]:
    """Return the recurrent layers of a layer: itself, or both directions of a Bidirectional."""
    if isinstance(layer, keras.layers.Bidirectional):
        return layer.forward_layer, layer.backward_layer
    return (layer,)


def obstacle(call: Call) -> str | None:
    """Return why a recurrent layer cannot be one operator.

    Args:
        call: A call of an `RNN` or a `Bidirectional`.

    Returns:
        What stands in the way, `None` if nothing does.
    """
    reasons = (_of_layer(layer) for layer in directions(call.operation))
    return next(filter(None, (*reasons, _of_call(call))), None)


def _of_layer(layer) -> str | None:
    if type(layer) not in (keras.layers.LSTM, keras.layers.RNN):
        return f"TFLite has no operator for a {type(layer).__name__}"
    if type(layer.cell) is not keras.layers.LSTMCell:
        return f"TFLite has no operator for a {type(layer.cell).__name__}"
    for field, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        name = getattr(getattr(layer.cell, field), "__name__", "another")
        if name != expected:
            return f"{field}={name!r} where the operator computes {expected}"
    if layer.stateful:
        return STATEFUL
    return "return_state=True" if layer.return_state else None


def _of_call(call) -> str | None:
    if hides_steps(call.inputs[0]):
        return HIDDEN_STEPS
    return "a mask or an initial state is passed to it" if len(call.inputs) > 1 else None


def _rewritten(layer):
    if not isinstance(layer, keras.layers.Bidirectional):
        only = SequenceLstm(layer)
        return Rewritten(only, [only], name=layer.name)
    forward, backward = (SequenceLstm(part) for part in directions(layer))
    return Rewritten(_both_ways(layer, forward, backward), [forward, backward], name=layer.name)


def _both_ways(layer, forward, backward) -> Callable[[Tensors], Tensors]:
    merge, whole = _MERGES[layer.merge_mode], layer.return_sequences

    def run(inputs):
        backwards = backward(inputs)
        # The converter gives both sides of a REVERSE_V2 grids of their own, those of a slice one.
        return merge([forward(inputs), backwards[:, ::-1] if whole else backwards])

    return run
