"""An LSTM that TensorFlow's converter turns into one UNIDIRECTIONAL_SEQUENCE_LSTM.

The converter replaces a function by the operator if the function has the attribute
`api_implements: "lstm_..."`, six arguments in the order below, and five results. What the function
computes is then discarded; it is the mathematics of Keras' layer, so that the model means the same
wherever the function is not replaced.

Source: TensorFlow's `prepare_composite_functions_tf.cc` and `lstm_utils.cc`.
"""

from typing import Any

from keras_compress.support.types import Tensor

_ATTRIBUTE = "api_implements"
# The converter compares the start of the attribute with this.
_NAME = "lstm_"
GATES = 4


def sequence_lstm(inputs: Tensor, weights: list[Tensor], name: str) -> Tensor:
    """Return the outputs of an LSTM at all steps, from a state of zeros.

        z = x kernel + h recurrent_kernel + bias, cut into i, f, g, o
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Args:
        inputs: Tensor (batch, steps, features) of fixed shape.
        weights: Kernel (features, 4 units), recurrent kernel (units, 4 units) and bias (4 units).
        name: Name of the layer.

    Returns:
        Tensor (batch, steps, units).

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """
    import tensorflow as tf

    inputs = tf.convert_to_tensor(inputs)
    tensors = [tf.convert_to_tensor(weight) for weight in weights]
    batch = tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0]
    state = tf.zeros((batch, tensors[1].shape[0]), inputs.dtype)
    # A traced function stays a function even where those of TensorFlow are run inline.
    function = _composite(name).get_concrete_function(
        *(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in (inputs, state, state, *tensors))
    )
    return function(inputs, state, state, *tensors)[1]


def _composite(name) -> Any:
    import tensorflow as tf

    attributes = {_ATTRIBUTE: f"{_NAME}{name}", "time_major": False, "go_backwards": False}
    return tf.function(_outputs, autograph=False, experimental_attributes=attributes)


def _outputs(inputs, hidden, cell, kernel, recurrent_kernel, bias):
    """Return the last output, all outputs, both states, and the kind of the implementation."""
    import tensorflow as tf

    def step(state, features):
        hidden, cell = state
        gates = tf.matmul(features, kernel) + tf.matmul(hidden, recurrent_kernel) + bias
        taken, kept, new, shown = tf.split(gates, GATES, axis=1)
        cell = tf.sigmoid(kept) * cell + tf.sigmoid(taken) * tf.tanh(new)
        return tf.sigmoid(shown) * tf.tanh(cell), cell

    hiddens, cells = tf.scan(step, tf.transpose(inputs, (1, 0, 2)), (hidden, cell))
    outputs = tf.transpose(hiddens, (1, 0, 2))
    return hiddens[-1], outputs, hiddens[-1], cells[-1], tf.constant(0.0)


def composites(definition) -> set[str]:
    """Return the names of the functions of a graph that the converter replaces by operators.

    Args:
        definition: A `GraphDef`.
    """
    return {
        function.signature.name
        for function in definition.library.function
        if _ATTRIBUTE in function.attr
    }
