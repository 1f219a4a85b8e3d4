"""Extract the ranges that training learned from a float flatbuffer.

TensorFlow's converter turns a fake-quantization operator into a QUANTIZE and a DEQUANTIZE with
the scale and zero point of its range. Another program that quantizes the file needs their ranges,
and the operators themselves removed.
"""

import numpy as np

from keras_compress.tflite import flatbuffer, operators
from keras_compress.tflite.editor import drop_unused_tensors, pack, rename_tensors, unpack
from keras_compress.tflite.operators import OperandRole

# Operators whose output holds the values of their input, in another shape or order.
_MOVES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE")


def take_ranges(content):
    """Remove the pairs of QUANTIZE and DEQUANTIZE from a file with one subgraph.

    Args:
        content: Bytes of a `.tflite` file whose operators compute in float.

    Returns:
        Tuple (content, ranges): the bytes without the pairs, and a dict from the name of each
        tensor that a pair followed to its (minimum, maximum). Of two pairs in a row the last
        counts. A RESHAPE passes a range on to the tensor on its other side.
    """
    graph = flatbuffer.read(content).subgraphs[0]
    pairs = [
        (graph.producers[_read(operator).index], operator)
        for operator in graph.operators
        if operator.name == "DEQUANTIZE" and _is_quantize(graph, _read(operator))
    ]
    model = unpack(content)
    # Index of each pair's result -> index of the tensor to read instead, in the order of the data.
    sources: dict[int, int] = {}
    ranges = {}
    for first, second in pairs:
        source = _read(first).index
        source = sources.get(source, source)
        sources[second.outputs[0].index] = source
        ranges[graph.tensors[source].name] = _ends(first.outputs[0])
    removed = {operator.index for pair in pairs for operator in pair}
    (edited,) = model.subgraphs
    edited.operators = [op for index, op in enumerate(edited.operators) if index not in removed]
    rename_tensors(model, lambda index: sources.get(index, index))
    drop_unused_tensors(model)
    content = pack(model)
    _share_ranges(flatbuffer.read(content).subgraphs[0], ranges)
    return content, ranges


def _share_ranges(graph, ranges):
    """Give the tensors before and after a RESHAPE one range; training sees only one of them."""
    moves = [operator for operator in graph.operators if operator.name in _MOVES]
    for operator in (*reversed(moves), *moves):
        before, after = _read(operator).name, operator.outputs[0].name
        for source, target in ((after, before), (before, after)):
            if source in ranges:
                ranges.setdefault(target, ranges[source])


def _read(operator):
    return operators.required(operator, OperandRole.DATA)


def _is_quantize(graph, tensor):
    producer = graph.producers.get(tensor.index)
    return producer is not None and producer.name == "QUANTIZE"


def _ends(tensor):
    """Return the smallest and the largest value that a quantized tensor can hold."""
    info = np.iinfo(tensor.dtype.numpy)
    ends = np.array([info.min, info.max], np.float64) - tensor.zero_points[0]
    return tuple((ends * tensor.scales[0]).tolist())
