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
