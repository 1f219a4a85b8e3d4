"""Scale channels between layers so that all have the same range (cross-layer equalization)."""

import keras
import numpy as np

from keras_compress.apply import LayerCopies
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph import Value, rebuild, trace
from keras_compress.layers import base as layer_types
from keras_compress.post_training.channel_links import channel_links

# Sweeps end when no channel changes by more than this share.
_SETTLED = 1e-3


def equalize(model, *, sweeps=40, replace_relu6=False):
    """Return a copy of a model in which the channels between two layers have equal weight ranges.

        s_i = sqrt(r1_i / r2_i),  W1[:, i] / s_i,  b1_i / s_i,  W2[i, :] * s_i

    r1_i is the largest magnitude of the weights that make channel i, r2_i that of those that
    read it, both as folding of BatchNormalization leaves them; afterwards the two are equal. As
    ReLU(x / s) = ReLU(x) / s, the outputs stay what they were. Chains (depthwise and pointwise
    in turn) are gone through again and again until they settle.

    It pays where one scale has to serve all channels of a kernel (`per_channel=False`), and
    where channels of an activation differ much in range, as behind depthwise convolutions.

    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias
    correction", section 4.1.

    Args:
        model: A built Sequential or functional `keras.Model`, not compressed. It is not changed.
        sweeps: How often all pairs are gone through at most. Default 40.
        replace_relu6: Whether ReLU6 between two layers becomes ReLU, as in the source. That
            changes outputs wherever the cap at 6 was reached. By default such pairs stay as they
            are.

    Returns:
        A functional `keras.Model`, not compiled, with the same outputs to float accuracy.

    Raises:
        InvalidArgumentError: Fewer than one sweep.
        UnsupportedModelError: The model has no graph.

    Example:
        >>> layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((8,)), *layers])
        >>> x = np.ones((1, 8), "float32")
        >>> np.allclose(model(x), kc.equalize(model)(x), atol=1e-5)
        True
    """
    if sweeps < 1:
        raise InvalidArgumentError(f"sweeps must be 1 or more. Received: sweeps={sweeps}")
    graph = trace(model)
    links = [link for link in channel_links(graph) if replace_relu6 or not link.capped]
    arrays = _Arrays()
    for _ in range(sweeps):
        change = max((arrays.equalize(link) for link in links), default=0.0)
        if change < _SETTLED:
            break
    uncapped = {call for link in links for call in link.capped}
    return _copy(graph, arrays, uncapped)


class _Arrays:
    """The weights of the layers of links, as arrays that are changed."""

    def __init__(self):
        self.of = {}

    def __getitem__(self, variable):
        key = id(variable)
        if key not in self.of:
            self.of[key] = variable, np.array(variable, np.float64)
        return self.of[key][1]

    def equalize(self, link):
        """Equalize one pair; return by which share the most changed channel was scaled."""
        made, read = self._made(link), self._read(link)
        usable = (made > 0) & (read > 0)
        scale = np.sqrt(np.where(usable, made, 1.0) / np.where(usable, read, 1.0))
        for variable, factor in _divided(link, scale):
            self[variable][...] /= factor
        kernel = _kernel(link.last)
        repeated = np.tile(scale, link.repeats)
        self[link.last.kernel][...] *= _along(repeated, (kernel.input_axis,), link.last.kernel)
        return float(np.abs(np.log(scale)).max())

    def _made(self, link):
        """Largest magnitude of the folded weights that make each channel."""
        kernel = _kernel(link.first)
        largest = _largest(self[link.first.kernel], kernel.channel_axes).ravel()
        return largest * self._folding(link.norm)

    def _read(self, link):
        """Largest magnitude of the weights that read each channel."""
        kernel = _kernel(link.last)
        largest = _largest(self[link.last.kernel], (kernel.input_axis,))
        return largest.reshape(link.repeats, -1).max(axis=0)

    def _folding(self, norm):
        if norm is None:
            return 1.0
        deviation = np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
        return np.abs(self[norm.gamma]) / deviation


def _divided(link, scale):
    """The variables that are divided, each with the factor in its shape."""
    norm, first = link.norm, link.first
    if norm is not None:
        return [(norm.gamma, scale)] + ([(norm.beta, scale)] if norm.center else [])
    divided = [(first.kernel, _along(scale, _kernel(first).channel_axes, first.kernel))]
    return divided + ([] if first.bias is None else [(first.bias, scale)])


def _kernel(layer):
    (kernel,) = layer_types.find(layer).kernels(layer)
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
