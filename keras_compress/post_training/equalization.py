"""Cross-layer equalization: scale channels between layers so that all have the same range."""

import keras
import numpy as np

from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import Value, trace
from keras_compress.graph.replay import rebuild
from keras_compress.layers import base as layer_types
from keras_compress.post_training.channel_links import channel_links
from keras_compress.post_training.layerwise_outputs import LayerwiseOutputs, collect
from keras_compress.wrappers.copies import LayerCopies

# Sweeps end when no channel changes by more than this share.
_SETTLED = 1e-3


def equalize(
    model: keras.Model,
    data: Samples | None = None,
    *,
    strength: float = 0.5,
    samples: int = 512,
    batch_size: int = 64,
    sweeps: int = 40,
    replace_relu6: bool = False,
) -> keras.Model:
    """Return a copy of a model whose channels between two layers have similar ranges.

        without data:  s_i = sqrt(r1_i / r2_i)
        with data:     s_i = x_i^strength / r2_i^(1 - strength)
        W1[:, i] / s_i,  b1_i / s_i,  W2[i, :] * s_i

    r1_i is the largest magnitude of the weights that produce channel i, r2_i of those that read
    it, both after BatchNormalization is folded in; x_i is the largest magnitude of the channel
    itself in the data. As ReLU(x / s) = ReLU(x) / s, the outputs do not change.

    Without data, r1 and r2 are made equal; chains (alternating depthwise and pointwise layers) are
    swept repeatedly until they converge. This helps if all channels of a kernel share one scale
    (`per_channel=False`). With data, the channels of activations are equalized. This helps if
    kernels have a scale for each channel (the default), because the activation between two layers
    always has a single scale in the file.

    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias
    correction", section 4.1; with data Xiao et al. 2023, "SmoothQuant", equation 4.

    Args:
        model: A built Sequential or functional `keras.Model`, not compressed. It is not changed.
        data: Data as for `kc.calibrate`, or `None`.
        strength: How much of the difference between channels of activations is moved into the
            weights that read them, from 0 (none) to 1 (all: every channel has the same range).
            Default 0.5. Only used with data.
        samples: Maximum number of samples. Default 512.
        batch_size: Samples in a batch, for data that are not batched already. Default 64.
        sweeps: Maximum number of sweeps over all pairs. Default 40. Only used without data.
        replace_relu6: Whether ReLU6 between two layers is replaced by ReLU, as in the source. This
            changes outputs if the cap at 6 was reached. By default such pairs are not equalized.

    Returns:
        A functional `keras.Model`, not compiled, whose outputs are the same to float accuracy.

    Raises:
        InvalidArgumentError: There is less than one sweep, or the strength is outside [0, 1].
        UnsupportedModelError: The graph of the model cannot be traced.

    Example:
        >>> layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((8,)), *layers])
        >>> x = np.ones((1, 8), "float32")
        >>> np.allclose(model(x), kc.equalize(model)(x), atol=1e-5)
        True
        >>> np.allclose(model(x), kc.equalize(model, x)(x), atol=1e-5)
        True
    """
    if sweeps < 1:
        raise InvalidArgumentError(f"sweeps must be 1 or more. Received: sweeps={sweeps}")
    if not 0 <= strength <= 1:
        raise InvalidArgumentError(f"strength must be in [0, 1]. Received: strength={strength}")
    graph = trace(model)
    links = [link for link in channel_links(graph) if replace_relu6 or not link.capped]
    arrays = _Arrays()
    if data is None:
        for _ in range(sweeps):
            change = max((arrays.equalize(link) for link in links), default=0.0)
            if change < _SETTLED:
                break
    else:
        reached = _largest_inputs(graph, collect(model, data, samples, batch_size), links)
        for link in links:
            arrays.smooth(link, reached[link], strength)
    uncapped = {call for link in links for call in link.capped}
    return _copy(graph, arrays, uncapped)


class _Arrays:
    """The weights of linked layers, as arrays that can be scaled."""

    def __init__(self):
        self.of = {}

    def __getitem__(self, variable):
        key = id(variable)
        if key not in self.of:
            self.of[key] = variable, np.array(keras.ops.convert_to_numpy(variable), np.float64)
        return self.of[key][1]

    def equalize(self, link) -> float:
        """Equalize one pair and return the largest change of a channel, as a logarithm."""
        made, read = _usable(self._made(link), self._read(link))
        scale = np.sqrt(made / read)
        self._move(link, scale)
        return float(np.abs(np.log(scale)).max())

    def smooth(self, link, reached, strength):
        """Equalize the activations between one pair, to the degree that `strength` sets."""
        reached, read = _usable(reached, self._read(link))
        self._move(link, reached**strength / read ** (1 - strength))

    def _move(self, link, scale):
        for variable, factor in _divided(link, scale):
            self[variable][...] /= factor
        kernel = _kernel(link.last)
        repeated = np.tile(scale, link.repeats)
        self[link.last.kernel][...] *= _along(repeated, (kernel.input_axis,), link.last.kernel)

    def _made(self, link):
        """Return the largest magnitude of the folded weights that produce each channel."""
        kernel = _kernel(link.first)
        largest = _largest(self[link.first.kernel], kernel.channel_axes).ravel()
        return largest * self._folding(link.norm)

    def _read(self, link):
        """Return the largest magnitude of the weights that read each channel."""
        kernel = _kernel(link.last)
        largest = _largest(self[link.last.kernel], (kernel.input_axis,))
        return largest.reshape(link.repeats, -1).max(axis=0)

    def _folding(self, norm):
        if norm is None:
            return 1.0
        deviation = np.sqrt(
            np.asarray(keras.ops.convert_to_numpy(norm.moving_variance), np.float64) + norm.epsilon
        )
        return np.abs(self[norm.gamma]) / deviation


def _usable(*ranges):
    """Return the ranges, set to 1 for channels with a range of 0, which are not scaled."""
    usable = np.all([channels > 0 for channels in ranges], axis=0)
    return [np.where(usable, channels, 1.0) for channels in ranges]


def _largest_inputs(graph, batches, links):
    """Return the largest magnitude of each channel between the two layers of each link."""
    outputs, reached = LayerwiseOutputs(graph, batches), {}
    link_to = {link.last: link for link in links}
    for call in graph.calls:
        if link := link_to.get(call.operation):
            values = outputs.values[call.inputs[0]]
            rows = [np.abs(batch).reshape(-1, batch.shape[-1]).max(axis=0) for batch in values]
            reached[link] = np.max(rows, axis=0).reshape(link.repeats, -1).max(axis=0)
        outputs.advance(call)
    return reached


def _divided(link, scale):
    """Return the variables to divide, each with a divisor that broadcasts to its shape."""
    norm, first = link.norm, link.first
    if norm is not None:
        return [(norm.gamma, scale)] + ([(norm.beta, scale)] if norm.center else [])
    divided = [(first.kernel, _along(scale, _kernel(first).channel_axes, first.kernel))]
    return divided + ([] if first.bias is None else [(first.bias, scale)])


def _kernel(layer):
    (kernel,) = layer_types.type_of(layer).kernels(layer)
    return kernel


def _largest(array, axes):
    rest = tuple(axis for axis in range(array.ndim) if axis not in axes)
    return np.abs(array).max(axis=rest)


def _along(values, axes, variable):
    shape = [size if axis in axes else 1 for axis, size in enumerate(variable.shape)]
    return np.reshape(values, shape)


def _copy(graph, arrays, uncapped):
    copies = LayerCopies()

    def apply(call, args, kwargs):
        if isinstance(call, Value):
            return args[0]
        if call in uncapped:
            relu = copies.custom(call.operation, lambda name: keras.layers.ReLU(name=name))
            return relu(args[0])
        return copies.plain(call.operation)(*args, **kwargs)

    model = rebuild(graph, apply)
    copies.copy_weights()
    for call in graph.calls:
        if call in uncapped or not isinstance(call.operation, keras.layers.Layer):
            continue
        pairs = zip(call.operation.weights, copies.plain(call.operation).weights, strict=True)
        for variable, copied in pairs:
            if id(variable) in arrays.of:
                copied.assign(arrays[variable])
    return model
