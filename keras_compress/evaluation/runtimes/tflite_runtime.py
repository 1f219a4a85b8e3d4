"""The tflite_runtime wheel, LiteRT's predecessor, for boards that still have it."""

from typing import Any

from keras_compress.evaluation.runtimes._interpreter import InterpreterRuntime


class TFLiteRuntime(InterpreterRuntime):
    """The interpreter of the `tflite-runtime` wheel, which needs numpy below 2."""

    priority = 1
    module = "tflite_runtime"
    package = "tflite-runtime"
    install = 'pip install "keras-compress[tflite-runtime]"'

    @classmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter(model_content=content, num_threads=threads)
