"""All tensors of an untrusted file, which runs in a separate process."""

import numpy as np

from keras_compress.converters.tensor_values import Kernels, TensorValues
from keras_compress.evaluation.isolation import Isolation
from keras_compress.tflite import flatbuffer


class IsolatedValues:
    """Runs a file like `TensorValues`, in the process that `kc.evaluate` uses for untrusted files.

    Args:
        source: The file: bytes or a path.
        kernels: A member of `Kernels`, or its value.

    Example:
        >>> values = IsolatedValues("download.tflite")  # doctest: +SKIP
        >>> [run] = values.run_each([[images[:1]]])  # doctest: +SKIP
    """

    def __init__(self, source, kernels=Kernels.BUILTIN):
        self.model = flatbuffer.read(source)
        self.graph = self.model.subgraphs[0]
        self._kernels = str(Kernels(kernels))

    def run_each(self, batches):
        """Run batches one after the other.

        Args:
            batches: Iterable of what `TensorValues.run` takes.

        Returns:
            List of what `TensorValues.run` returns.

        Raises:
            EvaluationError: The file crashed, or exceeded a limit.
        """
        inputs = [np.stack(arrays) for arrays in zip(*batches, strict=True)]
        result, arrays = Isolation().call(
            "tensors", self.model, inputs, runtime=TensorValues, kernels=self._kernels
        )
        tensors = dict(zip(result["indices"], arrays, strict=True))
        count = len(inputs[0])
        return [{index: array[n] for index, array in tensors.items()} for n in range(count)]
