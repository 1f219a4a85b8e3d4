"""Unpack a TFLite flatbuffer into objects that can be changed, and pack them again."""

import numpy as np

from keras_compress.tflite._reader import schema

# The alignment that TFLite's schema requires of buffers: kernels read multi-byte words from them.
_DATA_ALIGNMENT = 16


def unpack(content):
    """Unpack a file into the objects of TFLite's schema.

    Args:
        content: Bytes of a file that `flatbuffer.read` takes.

    Returns:
        A `ModelT`, whose vectors are numpy arrays.
    """
    return schema().ModelT.InitFromPackedBuf(bytearray(content), 0)


def pack(model):
    """Pack objects into a file, with data aligned as the schema requires and equal vectors shared.

    Per-channel scales and zero points are often the same for several tensors. A flatbuffer refers
    to a vector by its offset, so that one copy is enough for all.

    Args:
        model: A `ModelT`.

    Returns:
        The file's bytes.
    """
    builder = _new_builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _new_builder():
    import flatbuffers

    class Builder(flatbuffers.Builder):
        def __init__(self):
            super().__init__(1024)
            self._written = {}

        def StartVector(self, elemSize, numElems, alignment):
            alignment = _DATA_ALIGNMENT if elemSize == 1 else alignment
            return super().StartVector(elemSize, numElems, alignment)

        def CreateNumpyVector(self, x):
            x = np.ascontiguousarray(x)
            key = x.dtype.str, x.tobytes()
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

    return Builder()


def operator_code(model, name):
    """Return the index of an operator's code, which is added if the file has none.

    Args:
        model: A `ModelT`, changed in place.
        name: Name of a built-in operator whose number is below 127, as the older field holds it.
    """
    number = getattr(schema().BuiltinOperator, name)
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == number:
            return index
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def drop_unused_tensors(model):
    """Remove the tensors that no operator, input or output refers to, in place.

    Args:
        model: A `ModelT` with one subgraph.
    """
    (graph,) = model.subgraphs
    used = {*graph.inputs, *graph.outputs}
    for operator in graph.operators:
        used |= {*operator.inputs, *operator.outputs, *_listed(operator.intermediates)}
    kept = sorted(int(index) for index in used if index >= 0)
    new_indices = {-1: -1, **{index: new_index for new_index, index in enumerate(kept)}}
    rename_tensors(model, new_indices.__getitem__)
    graph.tensors = [graph.tensors[index] for index in kept]


def rename_tensors(model, new_index):
    """Replace each reference to a tensor, in place.

    Args:
        model: A `ModelT` with one subgraph.
        new_index: Function from the index of a tensor, or -1, to another.
    """
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
