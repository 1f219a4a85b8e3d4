"""Run a file in LiteRT and look at every tensor on the way."""

import enum

import numpy as np

from keras_compress.tflite import flatbuffer


class Kernels(enum.StrEnum):
    """Which kernels of LiteRT compute."""

    REFERENCE = "reference"  # portable and bit-exact; some float operators are missing
    BUILTIN = "builtin"  # LiteRT's own optimized kernels, without delegates
    XNNPACK = "xnnpack"  # what LiteRT takes by default on a CPU


class TensorValues:
    """A file in an interpreter that keeps all tensors.

    Args:
        source: The file: bytes, a path or a `ConvertedModel`.
        kernels: `Kernels`, or a member's value. Default: LiteRT's own without delegates.

    Example:
        >>> values = TensorValues("model.tflite")  # doctest: +SKIP
        >>> values.run([images[:1]])[values.graph.outputs[0].index].shape  # doctest: +SKIP
        (1, 10)
    """

    def __init__(self, source, kernels=Kernels.BUILTIN):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.model = flatbuffer.read(source)
        self.graph = self.model.subgraphs[0]
        resolvers = {
            Kernels.REFERENCE: OpResolverType.BUILTIN_REF,
            Kernels.BUILTIN: OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            Kernels.XNNPACK: OpResolverType.AUTO,
        }
        self._interpreter = Interpreter(
            model_content=self.model.content,
            experimental_op_resolver_type=resolvers[Kernels(kernels)],
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self.activations = tuple(_activations(self.graph))

    def run(self, inputs):
        """Run once.

        Args:
            inputs: One array for each input of the file, of its shape; real values where the
                input is quantized.

        Returns:
            Dict from tensor index to its array as stored: integers where it is quantized. Inputs
            and what operators make are in it.
        """
        interpreter = self._interpreter
        interpreter.reset_all_variables()
        for tensor, array in zip(self.graph.inputs, inputs, strict=True):
            interpreter.set_tensor(tensor.index, stored(array, tensor))
        interpreter.invoke()
        return {t.index: interpreter.get_tensor(t.index) for t in self.activations}

    def close(self):
        """Let go of the interpreter."""
        self._interpreter = None


def stored(array, tensor):
    """Quantize real values to the grid of a tensor.

    Args:
        array: Real values; integers where the tensor has no scale.
        tensor: A `flatbuffer.Tensor`.

    Returns:
        Array of the tensor's type.
    """
    kind = tensor.dtype.numpy
    if not tensor.scales.size:
        return np.ascontiguousarray(array, kind)
    info = np.iinfo(kind)
    values = np.rint(np.asarray(array, np.float64) / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(values, info.min, info.max).astype(kind)


def real(array, tensor):
    """Return the real values of a tensor's stored ones.

    Args:
        array: What `TensorValues.run` returned for the tensor.
        tensor: A `flatbuffer.Tensor` with at most one scale.

    Returns:
        Float32 array; the array itself where the tensor has no scale.
    """
    if not tensor.scales.size:
        return array
    difference = np.asarray(array, np.float64) - tensor.zero_points[0]
    return (difference * tensor.scales[0]).astype(np.float32)


def _activations(graph):
    """The inputs, and what operators make, each once and in the order of the operators."""
    tensors = {tensor.index: tensor for tensor in graph.inputs}
    for operator in graph.operators:
        tensors.update((tensor.index, tensor) for tensor in operator.outputs)
    return tensors.values()
