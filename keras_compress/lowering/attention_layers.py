"""The layers that replace a MultiHeadAttention, one for each tensor of the TFLite file."""

import keras
import numpy as np
from keras import ops

# The value of a masked score in float. Ranges are not learned from values below half of it.
MASKED_SCORE = -30000.0


@keras.saving.register_keras_serializable(package="keras_compress")
class AttentionProjection(keras.layers.Dense):
    """A projection of an attention: a Dense layer over all heads.

        y = (x kernel + bias) * factor

    The factor of the queries is 1 / sqrt(key_dim); in the file it is part of the weights.

    Args:
        units: Heads times values of a head, or the number of output features.
        part: `"query"`, `"key"`, `"value"`, `"gate"` or `"output"`.
        factor: Constant that the outputs are multiplied by. Default 1.
        attention: Configuration of the original attention; only the output projection has it.
    """

    def __init__(self, units, part, factor=1.0, attention=None, **kwargs):
        super().__init__(units, **kwargs)
        self.part = part
        self.factor = float(factor)
        self.attention = attention

    def call(self, inputs, training=None):
        """Project the inputs (batch, steps, features)."""
        outputs = super().call(inputs, training=training)
        return outputs if self.factor == 1.0 else outputs * self.factor

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"part": self.part, "factor": self.factor, "attention": self.attention}
        return {**super().get_config(), **own}


class _Part(keras.layers.Layer):
    """A layer without weights that passes implicit masks on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, *shapes):
        """Mark the layer as built: it has no weights."""
        self.built = True

    def get_config(self):
        """Return the constructor's arguments."""
        # Without this, Keras refuses arguments that it cannot serialize itself, such as a policy.
        return super().get_config()


@keras.saving.register_keras_serializable(package="keras_compress")
class AttentionScores(_Part):
    """Products of queries and keys: scores[b, h, t, s] = sum over d of q[b, t, h, d] k[b, s, h, d].

    The queries already contain the factor 1 / sqrt(d).
    """

    def call(self, query, key):
        """Multiply queries (batch, steps, heads, d) by keys (batch, places, heads, d)."""
        return ops.matmul(ops.transpose(query, (0, 2, 1, 3)), ops.transpose(key, (0, 2, 3, 1)))

    def compute_output_shape(self, query_shape, key_shape):
        """Return (batch, heads, steps, places)."""
        return query_shape[0], query_shape[2], query_shape[1], key_shape[1]


@keras.saving.register_keras_serializable(package="keras_compress")
class AttentionMask(_Part):
    """Sets masked scores so low that their softmax is zero.

    Args:
        causal: Whether a step cannot see later places.
        window: Number of places before and after that a step sees, including itself; `None` for
            all places.
        score: Value of a masked score. Default -30000; in a file, the lower end of the range.
    """

    def __init__(self, causal=False, window=None, score=MASKED_SCORE, **kwargs):
        super().__init__(**kwargs)
        self.causal, self.window, self.score = causal, window, float(score)

    def call(self, scores, mask=None):
        """Mask scores (batch, heads, steps, places).

        Args:
            scores: The products.
            mask: Boolean tensor that broadcasts to (batch, steps, places), or `None`.
        """
        allowed = self._allowed(scores)
        if mask is not None:
            mask = ops.cast(mask, "bool")
            while len(mask.shape) < len(scores.shape):
                mask = ops.expand_dims(mask, -3)
            allowed = mask if allowed is None else ops.logical_and(allowed, mask)
        return ops.where(allowed, scores, ops.cast(self.score, scores.dtype))

    def _allowed(self, scores):
        """Return the mask that does not depend on data, as a constant if sizes are known."""
        if not self.causal and self.window is None:
            return None
        fixed = None not in scores.shape[-2:]
        array, sizes = (np, scores.shape) if fixed else (ops, ops.shape(scores))
        step = array.reshape(array.arange(sizes[-2]), (1, 1, -1, 1))
        place = array.reshape(array.arange(sizes[-1]), (1, 1, 1, -1))
        allowed = step >= place if self.causal else None
        if self.window is not None:
            near = array.abs(step - place) < self.window
            allowed = near if allowed is None else array.logical_and(allowed, near)
        return allowed

    def compute_output_shape(self, scores_shape, mask_shape=None):
        """Return the shape of the scores."""
        return scores_shape

    def compute_output_spec(self, scores, mask=None):
        """Return shape and type of the scores."""
        return keras.KerasTensor(scores.shape, scores.dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"causal": self.causal, "window": self.window, "score": self.score}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_compress")
class AttentionContext(_Part):
    """Weighted sums of the values.

    y[b, t, h, d] = sum over s of weights[b, h, t, s] values[b, s, h, d]
    """

    def call(self, weights, value):
        """Sum values (batch, places, heads, d) with weights (batch, heads, steps, places)."""
        return ops.transpose(ops.matmul(weights, ops.transpose(value, (0, 2, 1, 3))), (0, 2, 1, 3))

    def compute_output_shape(self, weights_shape, value_shape):
        """Return (batch, steps, heads, d)."""
        return weights_shape[0], weights_shape[2], weights_shape[1], value_shape[3]
