"""An LSTM as one operator for all its steps."""

from collections.abc import Callable
from typing import Any

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, lacks
from keras_compress.converters.sequence_lstm import SequenceLstm
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call
from keras_compress.lowering.recurrent import RECURRENT, directions, obstacle
from keras_compress.support.types import Tensors

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
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

    The file then takes the same bytes however many steps the sequences have, also for an LSTM that
    was built with `unroll=True`. It keeps a state from one run to the next; what is unrolled in the
    file, with `rewrites=False`, does not.
    """

    layers = RECURRENT
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
        if obstacle(call):
            return None
        if layer not in self._made:
            self._made[layer] = _rewritten(layer)
        return self._made[layer]


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
