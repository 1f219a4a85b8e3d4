"""The flatbuffer in LiteRT as statistics: its tensors matched with those of the Keras model."""

import numpy as np

from keras_compress.analysis.isolated_values import IsolatedValues
from keras_compress.analysis.layer_statistics import (
    ActivationStatistics,
    LayerStatistics,
    WeightStatistics,
)
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.converters import verification
from keras_compress.converters.options import ConversionOptions, Mode
from keras_compress.converters.tensor_values import Kernels, TensorValues, real
from keras_compress.evaluation.probe import probe
from keras_compress.tflite import operators
from keras_compress.tflite.flatbuffer import Tensor
from keras_compress.tflite.layer_names import LayerNames

_RUNTIMES = {
    Kernels.REFERENCE: "litert_reference",
    Kernels.BUILTIN: "litert_reference",
    Kernels.XNNPACK: "litert",
}
# Suffixes of the names of operators that a layer is split into.
_PARTS = ("_activation", "_sigmoid", "_product")


class ConvertedFile:
    """A file whose tensors are compared with the float ones.

    Args:
        converted: A `ConvertedModel`, the bytes or the path of a `.tflite`.
        outputs: The `IntermediateOutput`s of the Keras model.
        observed: `Observed` of each output.
        kernels: Which of LiteRT's `Kernels`.
    """

    def __init__(self, converted, outputs, observed, kernels):
        self._values = _opened(converted, kernels)
        graph = self._values.graph
        self._names = LayerNames(
            graph,
            getattr(converted, "scopes", None),
            getattr(converted, "output_layers", ()),
        )
        self._content = self._values.model.content
        self.tensors = _matched(graph, self._names, outputs)
        self._read = (*self.tensors.values(), *graph.outputs)
        self._places = {output: place for place, output in enumerate(outputs)}
        self.activations = {
            output: _activation(output, tensor, observed[self._places[output]])
            for output, tensor in self.tensors.items()
        }

    def run(self, batch):
        """Run one batch.

        Args:
            batch: One array for each input.

        Returns:
            Dict from a tensor's index to its real values (samples, values of a sample).
        """
        size = self._values.graph.inputs[0].shape[0]
        tensors = {tensor.index: tensor for tensor in self._read}
        parts: dict[int, list] = {index: [] for index in tensors}
        for run in self._values.run_each(self._rows(batch)):
            for index, tensor in tensors.items():
                parts[index].append(np.asarray(real(run[index], tensor)).reshape(size, -1))
        return {index: np.concatenate(each)[: len(batch[0])] for index, each in parts.items()}

    def add(self, run, reference):
        """Take one more batch into account.

        Args:
            run: What `run` returned for it.
            reference: The float value of each output.
        """
        for output, tensor in self.tensors.items():
            floats = reference[self._places[output]]
            self.activations[output].add(floats, run[tensor.index].reshape(floats.shape))

    def outputs(self, run):
        """Return the file's outputs for a batch, as float arrays.

        Args:
            run: What `run` returned for the batch.
        """
        return [
            run[tensor.index].reshape(-1, *tensor.shape[1:])
            for tensor in self._values.graph.outputs
        ]

    def operator_of(self, tensor):
        """Return the name of the operator that makes a tensor."""
        makers = (o.name for o in self._values.graph.operators if tensor in o.outputs)
        return next(makers, "input")

    def statistics(self, kernels):
        """Return the `LayerStatistics`.

        Args:
            kernels: What `float_kernels` returned for the float model.
        """
        waiting = dict(kernels)
        weights = []
        for weighted in self._weighted():
            key = next(
                (
                    key
                    for key, values in waiting.items()
                    if _is_of(weighted.layer, key[0]) and values.size == weighted.weights.size
                ),
                None,
            )
            if key is not None:
                weights.append(_weights(key[0], waiting.pop(key), weighted))
        return LayerStatistics(
            source=QuantizedForm.FILE,
            activations=tuple(self.activations.values()),
            weights=tuple(weights),
        )

    def node_ids(self):
        """Return for each layer the names of its tensors in the file."""
        return {output.layer: (tensor.name,) for output, tensor in self.tensors.items()}

    def _rows(self, batch):
        """Cut a batch into the file's batch size; the last is filled up from the front."""
        size, total = self._values.graph.inputs[0].shape[0], len(batch[0])
        for start in range(0, total, size):
            rows = np.arange(start, start + size) % total
            yield [array[rows] for array in batch]

    def _weighted(self):
        options = ConversionOptions(mode=Mode.FLOAT32, input_type="float32", output_type="float32")
        emitted = verification.read_back(self._content, options)
        for weighted in emitted.weighted():
            operator = self._values.graph.operators[weighted.operator.index]
            for layer in self._names.of_operator(operator)[:1]:
                yield _Named(layer, weighted.weights, weighted.axis, weighted.operator.name)


def _opened(converted, kernels):
    """Open a file; an untrusted one may abort the process that runs it, and gets its own."""
    if hasattr(converted, "content"):
        return TensorValues(converted, kernels)
    probe(converted, _RUNTIMES[Kernels(kernels)])
    return IsolatedValues(converted, kernels)


class _Named:
    def __init__(self, layer, weights, axis, operator):
        self.layer, self.weights, self.axis, self.operator = layer, weights, axis, operator


def _weights(layer, reference, weighted):
    tensor = weighted.weights
    stored = np.asarray(tensor.data, np.float32)
    if tensor.scales.size:
        shape = [1] * stored.ndim
        if tensor.scales.size > 1:
            shape[tensor.axis] = -1
        stored = stored * tensor.scales.reshape(shape)
    return WeightStatistics(
        layer=layer,
        weights=reference.reshape(stored.shape),
        stored=stored,
        axis=weighted.axis,
        scales=max(1, tensor.scales.size),
        bits=tensor.dtype.bits,
        is_depthwise=weighted.operator == "DEPTHWISE_CONV_2D",
    )


def _activation(output, tensor, observed):
    ends = None
    if tensor.scales.size:
        info = np.iinfo(tensor.dtype.numpy)
        low, high = (np.array([info.min, info.max], np.float64) - tensor.zero_points[0]).tolist()
        ends = (low * float(tensor.scales[0]), high * float(tensor.scales[0]))
    return ActivationStatistics(
        layer=output.layer,
        observed=observed,
        range=ends,
        bits=tensor.dtype.bits,
        is_input=output.is_input,
        is_fixed=output.quantizer.fixed_range is not None,
    )


def _matched(graph, names, outputs):
    """Find the tensor of each output: one that the last operators of its layer make.

    A plain layer may be several operators in the file (Dense with softmax); its last operator
    makes the last of its outputs, and so on backwards.
    """
    tensor_of = dict(
        zip((output for output in outputs if output.is_input), graph.inputs, strict=False)
    )
    made: dict[str, list[Tensor]] = {}
    for operator in graph.operators:
        layers = names.of_operator(operator)
        if layers and not operators.row(operator.name).is_conversion:
            made.setdefault(_base(layers[-1], names), []).append(operator.outputs[0])
    samples = graph.inputs[0].shape[0]
    waiting: dict[str, list] = {}
    for output in outputs:
        if not output.is_input:
            waiting.setdefault(_base(output.name, names), []).append(output)
    for layer, group in waiting.items():
        tensors = made.get(layer, [])
        for output, tensor in zip(reversed(group), reversed(tensors), strict=False):
            if tensor.size == int(np.prod(output.shape)) * samples:
                tensor_of[output] = tensor
    return {output: tensor_of[output] for output in outputs if output in tensor_of}


def _base(layer, names):
    layer = layer.split("/")[-1]
    for part in _PARTS:
        if layer.endswith(part):
            return layer.removesuffix(part)
    return layer


def _is_of(name, layer):
    return name is not None and name.split("/")[-1] == layer
