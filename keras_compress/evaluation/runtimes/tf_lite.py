"""TensorFlow's own interpreter, for machines without another runtime."""

from typing import Any

from keras_compress.evaluation.runtimes._interpreter import InterpreterRuntime
from keras_compress.support import process_state


class TFLite(InterpreterRuntime):
    """`tf.lite.Interpreter`: its import takes seconds, and TensorFlow plans to remove it."""

    priority = 2
    module = "tensorflow"
    package = "tensorflow"
    install = "pip install tensorflow"

    @classmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        import tensorflow as tf

        # It warns of its removal in favour of LiteRT, which is used here if it is installed.
        with process_state.without_warnings(r"\s*Warning: tf.lite.Interpreter is dep"):
            return tf.lite.Interpreter(model_content=content, num_threads=threads)
