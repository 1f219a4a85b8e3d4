"""The outputs of each layer of a compressed model, both float and quantized."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_compress.data.model_inputs import as_inputs, input_specs
from keras_compress.data.reading import read
from keras_compress.data.source import count_samples
from keras_compress.data.structure import map_leaves
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import Value, all_layers, trace
from keras_compress.graph.replay import arguments
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import role
from keras_compress.support.progress import progress_bar
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import Phase


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """A wrapped layer and its inputs, both quantized and float.

    Args:
        wrapper: The `CompressedLayer`.
        activation: The ReLU that the file fuses into the layer's operator, or `None`.
        inputs: List of batches of its inputs, computed by the layers quantized so far.
        float_inputs: The same inputs, computed by the float model.
        saved: The wrapper's weights at the start, as (variable, array) pairs.
        input_step: Step of the grid of the inputs, to which the bias is rounded, or `None`.
    """

    wrapper: CompressedLayer
    activation: Callable | None
    inputs: list
    float_inputs: list
    saved: list
    input_step: Any = None

    def float_outputs(self, fused=True):
        """Return batches of the float layer's outputs for the float inputs.

        Args:
            fused: Whether to apply the activation: the layer's own and a ReLU that follows it.
        """
        with self.unfused():
            outputs = [float_call(self.wrapper, self.saved, batch) for batch in self.float_inputs]
        return [np.asarray(self.activate(batch)) for batch in outputs] if fused else outputs

    def quantized_outputs(self):
        """Return batches of the wrapped layer's current outputs, before any activation."""
        with self.unfused():
            return [np.asarray(self.wrapper(batch, self.input_step)) for batch in self.inputs]

    def activate(self, outputs):
        """Apply the layer's own activation and a ReLU that follows it."""
        own = getattr(self.wrapper.layer, "activation", None)
        for activation in (own, self.activation):
            outputs = outputs if activation is None else activation(outputs)
        return outputs

    @contextlib.contextmanager
    def unfused(self):
        """Disable the activation that the layer itself applies."""
        layer = self.wrapper.layer
        activation = getattr(layer, "activation", None)
        if activation is None:
            yield
            return
        layer.activation = keras.activations.linear
        try:
            yield
        finally:
            layer.activation = activation


def float_call(wrapper, saved, inputs):
    """Call a wrapped layer in float: masked but not rounded, with its saved weights.

    Args:
        wrapper: A `CompressedLayer`.
        saved: (variable, array) pairs of its weights.
        inputs: Batch of inputs.

    Returns:
        Array of outputs.
    """
    with keras.StatelessScope(state_mapping=saved):
        # As arrays, because a variable that is not a tensor yet would be read outside the scope.
        masked = [
            (wrapper.variable(k), keras.ops.convert_to_numpy(wrapper.clustered_kernel(k)))
            for k in wrapper.kernels
        ]
    with keras.StatelessScope(state_mapping=[*saved, *masked]):
        outputs = wrapper.layer(inputs)
        if wrapper.batch_norm is not None:
            outputs = wrapper.batch_norm(outputs, training=False)
    return np.asarray(outputs)


def require_calibrated(model, function):
    """Raise an error unless a model is quantized and calibrated.

    Args:
        model: A `keras.Model`.
        function: Name of the public function that requires this.

    Raises:
        InvalidArgumentError: The model is not quantized or not calibrated.
    """
    layers = all_layers(model) if isinstance(model, keras.Model) else []
    quantizers = [layer for layer in layers if isinstance(layer, ActivationQuantizer)]
    if quantizers and all(layer.observed and layer.phase != Phase.OFF for layer in quantizers):
        return
    raise InvalidArgumentError(
        f"{function} needs a compressed and calibrated model. Call first: "
        "model = kc.compress(model, quantization=kc.Quantization(...)), then "
        f"kc.calibrate(model, x). Received: {getattr(model, 'name', model)}, which has "
        f"{'no ranges' if not quantizers else 'ranges that were never observed'}"
    )


def collect(model, data, samples, batch_size):
    """Return the first samples of calibration data as batches in the model's input structure.

    Args:
        model: A functional `keras.Model`.
        data: Data as for `kc.calibrate`.
        samples: Maximum number of samples.
        batch_size: Samples in a batch, for data that are not batched already.

    Raises:
        InvalidArgumentError: There are no data.
    """
    batches, count = [], 0
    source = read(data, input_specs(model)).inputs_only()
    for x, _ in source.batches(batch_size):
        x = map_leaves(lambda array, rest=samples - count: array[:rest], x)
        batches.append(as_inputs(model, x))
        count += count_samples(x, None)
        if count >= samples:
            break
    if not count:
        raise InvalidArgumentError("At least one sample is needed. Received: no data")
    return batches


def walk(model, batches, visit, progress=None):
    """Run samples through a compressed model, layer by layer, and visit each wrapped layer.

    `visit` is called before the quantized samples pass a layer, so that its changes affect the
    inputs of later layers. Tensors are dropped after their last reader.

    Args:
        model: A compressed, calibrated model.
        batches: The batches that `collect` returned.
        visit: Function of a `Site`, called once for each wrapped layer that is quantized.
        progress: Whether to show a bar; `None` shows it on a terminal.
    """
    graph = trace(model)
    saved = _saved_weights(graph)
    plain, quantized = LayerwiseOutputs(graph, batches), LayerwiseOutputs(graph, batches)
    visited = set()
    with progress_bar(len(graph.calls), progress, unit="layer") as advance:
        for call in graph.calls:
            wrapper = call.operation
            if isinstance(wrapper, CompressedLayer):
                site = _site(call, quantized, plain, saved[wrapper])
                if wrapper.quantization is not None and wrapper not in visited:
                    visited.add(wrapper)
                    visit(site)
            plain.advance(call, lambda operation: _as_float(operation, saved))
            quantized.advance(call)
            advance(1)


def _site(call, quantized, plain, saved):
    value, step = call.inputs[0], call.kwargs.get("input_step")
    return Site(
        call.operation,
        _fused_relu(call),
        quantized.values[value],
        plain.values[value],
        saved,
        None if step is None else quantized.values[step][0],
    )


def _as_float(operation, saved):
    if isinstance(operation, ActivationQuantizer):
        return lambda inputs, **_: inputs
    if isinstance(operation, CompressedLayer):
        return lambda inputs, **_: float_call(operation, saved[operation], inputs)
    return operation


def _saved_weights(graph):
    operations = (call.operation for call in graph.calls)
    return {
        wrapper: [
            (variable, keras.ops.convert_to_numpy(variable)) for variable in wrapper.variables
        ]
        for wrapper in operations
        if isinstance(wrapper, CompressedLayer)
    }


def _fused_relu(call):
    """Return the ReLU that is the only reader of a call's output, which the file fuses into it."""
    readers = call.output.consumers
    if len(readers) == 1 and role(readers[0].operation) is Role.RELU:
        return readers[0].operation
    return None


class LayerwiseOutputs:
    """The values of a graph for all batches, kept until their last reader has run.

    Args:
        graph: A `Graph`.
        batches: The batches that `collect` returned.
    """

    def __init__(self, graph, batches):
        self.unread: dict[Value, int] = {}
        for call in graph.calls:
            for value in dict.fromkeys(call.inputs):
                self.unread[value] = self.unread.get(value, 0) + 1
        flat = [keras.tree.flatten(batch) for batch in batches]
        self.values = {
            value: [np.asarray(batch[position]) for batch in flat]
            for position, value in enumerate(graph.flat_inputs)
        }

    def advance(self, call, as_called=lambda operation: operation):
        """Compute the outputs of a call, and drop inputs that no later call reads.

        Args:
            call: The next call of the graph.
            as_called: Function from an operation to the function that is called instead.
        """
        count = len(self.values[call.inputs[0]])
        made = [self._outputs(call, as_called(call.operation), index) for index in range(count)]
        for position, value in enumerate(call.outputs):
            self.values[value] = [batch[position] for batch in made]
        for value in dict.fromkeys(call.inputs):
            self.unread[value] -= 1
            if not self.unread[value]:
                del self.values[value]

    def _outputs(self, call, operation, index):
        args, kwargs = arguments(call, {value: self.values[value][index] for value in call.inputs})
        return [np.asarray(leaf) for leaf in keras.tree.flatten(operation(*args, **kwargs))]
