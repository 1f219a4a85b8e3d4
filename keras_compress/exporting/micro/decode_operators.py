"""Insert encoded weights into a file, each with a DECODE operator before its reader."""

import numpy as np

from keras_compress.tflite import operators
from keras_compress.tflite._reader import schema
from keras_compress.tflite.model import DECODE
from keras_compress.tflite.operators import OperandRole


def insert_decoders(model, encoded):
    """Replace weight tensors with encoded ones, and decode them where they are read.

    TFLite Micro frees the output of DECODE after the next operator has run, so that only one
    decoded tensor at a time takes memory; a tensor that two operators read is decoded twice.

    Args:
        model: A `ModelT`; it is changed.
        encoded: Dict from (subgraph index, tensor index) to `Encoded`.
    """
    if not encoded:
        return
    code = _operator_code(model)
    for graph_index, graph in enumerate(model.subgraphs):
        own = {tensor: e for (place, tensor), e in encoded.items() if place == graph_index}
        _insert(model, graph, own, code)


def _insert(model, graph, encoded, code):
    ancillary = {index: _add(model, graph, e.ancillary, index) for index, e in encoded.items()}
    operators_with_decoders = []
    for operator in graph.operators:
        inputs = np.array(operator.inputs)
        for position, index in enumerate(operator.inputs):
            if index in encoded:
                inputs[position] = _add_decoded(graph, index)
                decoder = _decoder(code, index, ancillary[index], inputs[position])
                operators_with_decoders.append(decoder)
        operator.inputs = inputs
        operators_with_decoders.append(operator)
    graph.operators = operators_with_decoders
    for index, e in encoded.items():
        tensor = graph.tensors[index]
        graph.tensors[index] = _stored(model, e.data, tensor.name, tensor.buffer)


def _operator_code(model):
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CUSTOM
    code.customCode, code.version = DECODE.encode(), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _decoder(code, encoded, ancillary, output):
    operator = schema().OperatorT()
    operator.opcodeIndex = code
    by_role = {OperandRole.ENCODED: encoded, OperandRole.ANCILLARY: ancillary}
    inputs = [by_role[operand.role] for operand in operators.row(DECODE).inputs]
    operator.inputs = np.asarray(inputs, np.int32)
    operator.outputs = np.asarray([output], np.int32)
    return operator


def _add(model, graph, data, source):
    """Add a tensor of bytes with a buffer of its own; return its index."""
    model.buffers.append(schema().BufferT())
    name = _derived_name(graph.tensors[source].name, "ancillary")
    graph.tensors.append(_stored(model, data, name, len(model.buffers) - 1))
    return len(graph.tensors) - 1


def _stored(model, data, name, buffer):
    tensor = schema().TensorT()
    tensor.name, tensor.shape = name, np.asarray([len(data)], np.int32)
    tensor.type, tensor.buffer = schema().TensorType.UINT8, buffer
    model.buffers[buffer].data = np.frombuffer(data, np.uint8)
    return tensor


def _add_decoded(graph, index):
    """Add the tensor that DECODE fills, like the encoded one was; return its index."""
    source, tensor = graph.tensors[index], schema().TensorT()
    tensor.name = _derived_name(source.name, "decoded")
    tensor.shape, tensor.type, tensor.buffer = source.shape, source.type, 0
    tensor.quantization = source.quantization
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _derived_name(name, suffix):
    return name and name + f"_{suffix}".encode()
