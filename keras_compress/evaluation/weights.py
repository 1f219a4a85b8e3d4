"""Find the weight tensors in a file, and count their zeros."""

import dataclasses
import functools

import numpy as np

from keras_compress.tflite import operators
from keras_compress.tflite.decoding import decode_weights
from keras_compress.tflite.layer_names import LayerNames


@dataclasses.dataclass(frozen=True)
class WeightTensor:
    """The weights of one operator.

    Args:
        name: The tensor's name in the file.
        layer: The Keras layer that it came from, if the names in the file show it.
        operator: The operator that reads it.
        shape: Its dimensions.
        dtype: Its data type in the file.
        size: Number of weights.
        zeros: Number of weights that represent zero, that is, equal the zero point.
    """

    name: str
    layer: str
    operator: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    zeros: int

    @property
    def sparsity(self):
        """Fraction of zeros."""
        return self.zeros / self.size

    def to_json(self):
        """Return the fields and the sparsity as a dictionary that `json.dumps` takes."""
        fields = dataclasses.asdict(self)
        return {**fields, "shape": list(self.shape), "sparsity": self.sparsity}


def weight_tensors(model, scopes=None):
    """List the weights of a file, in the order of its operators.

    Weights are the stored tensors that convolutions, dense and recurrent layers, embeddings and
    constant matrix products read, including those stored as half floats and dequantized first.
    Biases and constants of element-wise operators are not weights. A tensor that several
    operators read is listed once.

    Args:
        model: A `flatbuffer.Model`.
        scopes: Name scopes of the Keras layers, as `LayerNames` takes them.

    Returns:
        List of `WeightTensor`.
    """
    names = _layer_names(model, scopes)
    return [
        WeightTensor(
            name=tensor.name,
            layer=names[graph.index].first(operator) or tensor.name,
            operator=operator.name,
            shape=tensor.shape,
            dtype=str(tensor.dtype),
            size=tensor.size,
            zeros=count_zeros(tensor),
        )
        for graph, operator, tensor, _ in find_weights(model)
    ]


def total_sparsity(tensors):
    """Return the fraction of zeros over all weights.

    Args:
        tensors: `WeightTensor`s.

    Returns:
        A float in [0, 1], or `None` if there are no weights.
    """
    size = sum(tensor.size for tensor in tensors)
    return sum(tensor.zeros for tensor in tensors) / size if size else None


def count_zeros(tensor):
    """Count the weights that represent zero, including those that sparse storage leaves out.

    Args:
        tensor: A constant `flatbuffer.Tensor`.

    Returns:
        An integer.
    """
    if tensor.is_sparse:
        return tensor.size - int(np.count_nonzero(tensor.data))
    return tensor.zeros


def find_weights(model):
    """Yield (subgraph, operator, tensor, axis of the output channels) for each weight tensor.

    Args:
        model: A `flatbuffer.Model`.

    Yields:
        Tuples; the axis is `None` if channels have no axis of their own.
    """
    seen = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            axis = operators.row(operator.name).channel_axis
            for tensor in operators.trained(operator):
                tensor = decode_weights(tensor, graph)
                if not tensor.is_constant or tensor.buffer in seen:
                    continue
                if tensor.size and tensor.dtype.bits and len(tensor.shape) > 1:
                    seen.add(tensor.buffer)
                    yield graph, operator, tensor, axis


def _layer_names(model, scopes):
    make = functools.partial(LayerNames, scopes=scopes)
    return [make(graph) for graph in model.subgraphs]
