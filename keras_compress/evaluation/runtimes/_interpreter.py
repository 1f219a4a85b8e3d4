"""The interpreter API that LiteRT, tflite_runtime and tf.lite have in common."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.tflite.model import Model


class InterpreterRuntime(Runtime):
    """A runtime whose Python class is TensorFlow Lite's `Interpreter` or its successor."""

    def __init__(
        self, model: Model, *, threads: int = 1, shapes: Sequence[Sequence[int]] | None = None
    ):
        super().__init__(model, threads=threads, shapes=shapes)
        try:
            self._interpreter = self._create(model.content, threads)
            self._allocate(shapes)
        except (ValueError, RuntimeError) as error:
            raise self._refuse(error) from error

    @classmethod
    @abc.abstractmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        """Return an interpreter of the bytes whose tensors are not allocated yet."""

    def _allocate(self, shapes):
        details = self._interpreter.get_input_details()
        for detail, shape in zip(details, shapes or (), strict=shapes is not None):
            if tuple(detail["shape"]) != tuple(shape):
                self._interpreter.resize_tensor_input(detail["index"], shape)
        self._interpreter.allocate_tensors()
        self._input_indices = [detail["index"] for detail in details]
        self._output_indices = [d["index"] for d in self._interpreter.get_output_details()]

    def invoke(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run once; the state of recurrent tensors is reset first."""
        interpreter = self._interpreter
        try:
            if self.stateful:
                interpreter.reset_all_variables()
            for index, array in zip(self._input_indices, arrays, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in self._output_indices]
        except (ValueError, RuntimeError) as error:
            raise self._refuse(error) from error

    def close(self) -> None:
        """Release the interpreter."""
        self._interpreter = None
        super().close()
