"""Take the ranges that training learned out of a float flatbuffer.

TensorFlow's converter turns a fake-quantization operator into a QUANTIZE and a DEQUANTIZE with
the scale and zero point of its range. In a file that another program is to quantize they are in
the way, and their ranges are needed.
"""

import numpy as np

from keras_compress.tflite import flatbuffer, operators
from keras_compress.tflite.editor import pack, unpack
from keras_compress.tflite.operators import OperandRole


def take_ranges(content):
    """Remove the pairs of QUANTIZE and DEQUANTIZE from a file with one subgraph.

    Args:
        content: Bytes of a `.tflite` file whose operators compute in float.

    Returns:
        Tuple (content, ranges): the bytes without the pairs, and a dict from the name of each
        tensor that one stood behind to its (minimum, maximum). Of two in a row the last counts.
    """
    graph = flatbuffer.read(content).subgraphs[0]
    pairs = [
        (graph.producers[_read(operator).index], operator)
        for operator in graph.operators
        if operator.name == "DEQUANTIZE" and _is_quantize(graph, _read(operator))
    ]
    model = unpack(content)
    # The tensor that each result of a pair is read from instead, in the order of the data.
    sources: dict[int, int] = {}
    ranges = {}
    for first, second in pairs:
        source = _read(first).index
        source = sources.get(source, source)
        sources[second.outputs[0].index] = source
        ranges[graph.tensors[source].name] = _ends(first.outputs[0])
    taken = {operator.index for pair in pairs for operator in pair}
    (edited,) = model.subgraphs
    edited.operators = [op for index, op in enumerate(edited.operators) if index not in taken]
    _rename(model, lambda index: sources.get(index, index))
    _drop_unused_tensors(model)
    return pack(model), ranges


def _read(operator):
    return operators.required(operator, OperandRole.DATA)


def _is_quantize(graph, tensor):
    maker = graph.producers.get(tensor.index)
    return maker is not None and maker.name == "QUANTIZE"


def _ends(tensor):
    """The smallest and largest value that a quantized tensor holds."""
    info = np.iinfo(tensor.dtype.numpy)
    ends = np.array([info.min, info.max], np.float64) - tensor.zero_points[0]
    return tuple((ends * tensor.scales[0]).tolist())


def _drop_unused_tensors(model):
    (graph,) = model.subgraphs
    used = {*graph.inputs, *graph.outputs}
    for operator in graph.operators:
        used |= {*operator.inputs, *operator.outputs, *_listed(operator.intermediates)}
    kept = sorted(int(index) for index in used if index >= 0)
    places = {-1: -1, **{index: place for place, index in enumerate(kept)}}
    _rename(model, places.__getitem__)
    graph.tensors = [graph.tensors[index] for index in kept]


def _rename(model, new_index):
    """Give every reference to a tensor the index that a function returns for it."""
    (graph,) = model.subgraphs
    for holder in (graph, *graph.operators):
        for field in ("inputs", "outputs", "intermediates"):
            indices = getattr(holder, field, None)
            if indices is not None:
                renamed = [new_index(int(index)) for index in indices]
                setattr(holder, field, np.array(renamed, np.int32))
    for signature in _listed(model.signatureDefs):
        for entry in (*_listed(signature.inputs), *_listed(signature.outputs)):
            entry.tensorIndex = new_index(entry.tensorIndex)


def _listed(values):
    return () if values is None else values
