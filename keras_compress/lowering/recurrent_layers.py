"""The layers that replace an LSTM, one for each tensor of the TFLite file."""

from typing import Any

import keras
from keras import ops

from keras_compress.support.types import Tensor

# TFLite's names for the gates, in Keras' order and in that of the operator's inputs.
GATE_NAMES = ("input", "forget", "cell", "output")
_SERIALIZED = ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer")


class ExactSteps:
    """What an `LstmSteps` does to the values inside a step: nothing.

    A subclass rounds them. Each method takes and returns a float tensor.
    """

    def product(self, values: Tensor) -> Tensor:
        """Return a product with a kernel, (batch, 4 units), or such a one and the bias."""
        return values

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of both products, (batch, 4 units), before the activations."""
        return values

    def activation(self, values: Tensor) -> Tensor:
        """Return what a sigmoid or a tanh gave."""
        return values

    def cell(self, values: Tensor) -> Tensor:
        """Return the cell state (batch, units), or one of the two terms that it is the sum of."""
        return values

    def hidden(self, values: Tensor) -> Tensor:
        """Return the outputs of a step, (batch, units)."""
        return values

    def see_cells(self, cells: Tensor, training: bool | None) -> None:
        """Receive the cell states of all steps, (steps, batch, units)."""


@keras.saving.register_keras_serializable(package="keras_compress")
class LstmSteps(keras.layers.Layer):
    """The outputs of an LSTM at all steps, with a kernel for each gate as in the TFLite file.

        z = x kernel + bias + h recurrent_kernel, cut into i, f, g, o
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.)

    Args:
        units: Number of units.
        original: Class and config of the layer that it takes the place of.
        direction: `"forward"` or `"backward"` for one direction of a `Bidirectional`, else `None`.
        use_bias: Whether the gates have a bias.
        dropout: Fraction of the inputs that are dropped in training, the same at all steps.
        recurrent_dropout: The same for the outputs of the step before.
        seed: Seed of both.
        kernel_regularizer: Regularizer of the kernels, a sum over all weights.
        recurrent_regularizer: The same for the recurrent kernels.
        bias_regularizer: The same for the bias.
    """

    def __init__(
        self,
        units,
        original,
        direction=None,
        use_bias=True,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units, self.original, self.direction = units, original, direction
        self.use_bias = use_bias
        self.dropout, self.recurrent_dropout, self.seed = dropout, recurrent_dropout, seed
        given = (kernel_regularizer, recurrent_regularizer, bias_regularizer)
        self.regularizers = dict(zip(_SERIALIZED, map(keras.regularizers.get, given), strict=True))
        if dropout or recurrent_dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Create two kernels for each gate, and one bias for all."""
        for prefix, size in (("kernel", input_shape[-1]), ("recurrent", self.units)):
            for gate in GATE_NAMES:
                setattr(self, f"{gate}_{prefix}", self._kernel(gate, prefix, size))
        self.bias = None
        if self.use_bias:
            self.bias = self._weight("bias", (len(GATE_NAMES) * self.units,), "bias_regularizer")
        self.built = True

    def _kernel(self, gate, prefix, size):
        return self._weight(f"{gate}_{prefix}", (size, self.units), f"{prefix}_regularizer")

    def _weight(self, name, shape, regularizer):
        regularizer = self.regularizers[regularizer]
        return self.add_weight(name=name, shape=shape, regularizer=regularizer, autocast=False)

    def compressed_weights(self):
        """Return the kernels, each of which has one scale in the file."""
        return dict.fromkeys((*kernel_names("kernel"), *kernel_names("recurrent")))

    def joined(self, prefix: str) -> Tensor:
        """Return the kernels of all gates as one, as Keras has them.

        Args:
            prefix: `"kernel"` or `"recurrent"`.

        Returns:
            Tensor (features or units, 4 units).
        """
        kernels = [ops.convert_to_tensor(getattr(self, name)) for name in kernel_names(prefix)]
        return ops.concatenate(kernels, axis=1)

    def call(self, inputs, rounding=None, training=None):
        """Return the outputs of all steps, (batch, steps, units).

        Args:
            inputs: Tensor (batch, steps, features).
            rounding: An `ExactSteps`, which may round the values inside a step.
            training: Whether this is a training step, in which values are dropped.
        """
        rounding = ExactSteps() if rounding is None else rounding
        features = ops.cast(inputs, "float32")
        state = ops.zeros((ops.shape(inputs)[0], self.units), "float32")
        dropped = self._dropped(self.dropout, features[:, :1], training)
        mask = self._dropped(self.recurrent_dropout, state, training)
        products = self._products(features if dropped is None else features * dropped)
        step = self._step(rounding, self.joined("recurrent"), mask)
        xs = ops.moveaxis(rounding.product(products), 1, 0)
        _, (hiddens, cells) = ops.scan(step, (state, state), xs)
        rounding.see_cells(cells, training)
        return ops.cast(ops.moveaxis(hiddens, 0, 1), self.compute_dtype)

    def _dropped(self, rate, like, training):
        """Return zeros and 1 / (1 - rate) of a tensor's shape; `None` if nothing is dropped."""
        if not rate or not training:
            return None
        return keras.random.dropout(ops.ones_like(like), rate, seed=self.seed_generator)

    def _products(self, features):
        products = ops.matmul(features, self.joined("kernel"))
        return products if self.bias is None else products + self.bias

    @staticmethod
    def _step(rounding, kernel, mask):
        def step(state, product):
            hidden, cell = state
            hidden = hidden if mask is None else hidden * mask
            total = rounding.total(product + rounding.product(ops.matmul(hidden, kernel)))
            # One sigmoid over all gates is faster than three; the one of the cell gate is unused.
            sigmoids = rounding.activation(ops.sigmoid(total))
            taken, kept, _, shown = ops.split(sigmoids, len(GATE_NAMES), axis=-1)
            _, _, new, _ = ops.split(total, len(GATE_NAMES), axis=-1)
            new = rounding.activation(ops.tanh(new))
            cell = rounding.cell(rounding.cell(kept * cell) + rounding.cell(taken * new))
            hidden = rounding.hidden(shown * rounding.activation(ops.tanh(cell)))
            return (hidden, cell), (hidden, cell)

        return step

    def compute_output_shape(self, input_shape):
        """Return (batch, steps, units)."""
        return (*input_shape[:2], self.units)

    def compute_output_spec(self, inputs, rounding=None, training=None):
        """Return shape and type of the outputs."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("units", "original", "direction", "use_bias", "dropout", "recurrent_dropout")
        own: dict[str, Any] = {name: getattr(self, name) for name in (*names, "seed")}
        own |= {
            name: keras.regularizers.serialize(regularizer)
            for name, regularizer in self.regularizers.items()
        }
        return {**super().get_config(), **own}


def kernel_names(prefix: str) -> tuple[str, ...]:
    """Return the attributes of an `LstmSteps` that hold the kernels of its gates.

    Args:
        prefix: `"kernel"` for those of the inputs, `"recurrent"` for those of the outputs.

    Example:
        >>> kernel_names("kernel")
        ('input_kernel', 'forget_kernel', 'cell_kernel', 'output_kernel')
    """
    return tuple(f"{gate}_{prefix}" for gate in GATE_NAMES)


@keras.saving.register_keras_serializable(package="keras_compress")
class StepSelection(keras.layers.Layer):
    """The steps of a sequence in reverse order, or the last step alone.

    Args:
        steps: `"reversed"` or `"last"`.
    """

    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def call(self, inputs):
        """Select from (batch, steps, units)."""
        if self.steps == "last":
            return inputs[:, -1]
        # The converter gives both sides of a REVERSE_V2 grids of their own, those of a slice one.
        sliced = keras.backend.backend() == "tensorflow"
        return inputs[:, ::-1] if sliced else ops.flip(inputs, axis=1)

    def compute_output_shape(self, input_shape):
        """Return the shape of the sequence, or of a step."""
        last = self.steps == "last"
        return (input_shape[0], *input_shape[2:]) if last else input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="keras_compress")
class DirectionMerge(keras.layers.Layer):
    """The outputs of both directions of a `Bidirectional` as one tensor.

    Args:
        mode: `"concat"`, `"sum"` or `"mul"`.
        original: Class and config of the `Bidirectional`.
    """

    def __init__(self, mode, original, **kwargs):
        super().__init__(**kwargs)
        self.mode, self.original = mode, original

    def call(self, inputs):
        """Merge two tensors of the same shape."""
        forward, backward = inputs
        if self.mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        return forward + backward if self.mode == "sum" else forward * backward

    def compute_output_shape(self, input_shape):
        """Return the shape of an input, its last axis as long as both."""
        forward, backward = input_shape
        joined = forward[-1] + backward[-1] if self.mode == "concat" else forward[-1]
        return (*forward[:-1], joined)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "mode": self.mode, "original": self.original}
