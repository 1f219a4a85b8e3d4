"""Run a file in LiteRT and read every intermediate tensor."""

import enum
import warnings

import numpy as np

from keras_compress.tflite import flatbuffer


class Kernels(enum.StrEnum):
    """The sets of kernels that LiteRT can run."""

    REFERENCE = "reference"  # portable and bit-exact; some float operators are missing
    BUILTIN = "builtin"  # LiteRT's own optimized kernels, without delegates
    XNNPACK = "xnnpack"  # LiteRT's default on a CPU


class TensorValues:
    """Runs a file in an interpreter that keeps all tensors.

    Args:
        source: The file: bytes, a path or a `ConvertedModel`.
        kernels: A member of `Kernels`, or its value. Default: LiteRT's own without delegates.

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
        with warnings.catch_warnings():
            # LiteRT warns of the memory that all tensors take, with XNNPACK's kernels alone.
            warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors")
            self._interpreter = Interpreter(
                model_content=self.model.content,
                experimental_op_resolver_type=resolvers[Kernels(kernels)],
                experimental_preserve_all_tensors=True,
            )
        self._interpreter.allocate_tensors()
        self.activations = activations(self.graph)

    @classmethod
    def name(cls):
        """Name of the runtime, for messages."""
        return "litert"

    def run(self, inputs):
        """Run one batch.

        Args:
            inputs: One array for each input of the file, of its shape; real values where the
                input is quantized.

        Returns:
            Dict from the index of each input and each output of an operator to its array as
            stored, which are integers if it is quantized.
        """
        interpreter = self._interpreter
        interpreter.reset_all_variables()
        for tensor, array in zip(self.graph.inputs, inputs, strict=True):
            interpreter.set_tensor(tensor.index, stored(array, tensor))
        interpreter.invoke()
        return {t.index: interpreter.get_tensor(t.index) for t in self.activations}

    def run_each(self, batches):
        """Run batches one after the other.

        Args:
            batches: Iterable of what `run` takes.

        Returns:
            List of what `run` returns.
        """
        return [self.run(batch) for batch in batches]

    def close(self):
        """Release the interpreter."""
        self._interpreter = None


def stored(array, tensor):
    """Quantize real values to the grid of a tensor.

    Args:
        array: Real values; integers if the tensor has no scale.
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
    """Return the real values of a tensor's stored values.

    Args:
        array: The array that `TensorValues.run` returned for the tensor.
        tensor: A `flatbuffer.Tensor` with at most one scale.

    Returns:
        Float32 array; the array itself if the tensor has no scale.
    """
    if not tensor.scales.size:
        return array
    difference = np.asarray(array, np.float64) - tensor.zero_points[0]
    return (difference * tensor.scales[0]).astype(np.float32)


def activations(graph):
    """Return the inputs and the outputs of operators, each once, in the order of the operators.

    Args:
        graph: A subgraph of a `flatbuffer.Model`.

    Returns:
        Tuple of `flatbuffer.Tensor`.
    """
    tensors = {tensor.index: tensor for tensor in graph.inputs}
    for operator in graph.operators:
        tensors.update((tensor.index, tensor) for tensor in operator.outputs)
    return tuple(tensors.values())
