"""TensorFlow's own interpreter, for a machine that has nothing else."""

import warnings
from typing import Any

from keras_compress.evaluation.runtimes._interpreter import InterpreterRuntime


class TFLite(InterpreterRuntime):
    """`tf.lite.Interpreter`: importing it takes seconds, and TensorFlow is to remove it."""

    priority = 2
    module = "tensorflow"
    package = "tensorflow"
    install = "pip install tensorflow"

    @classmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        import tensorflow as tf

        with warnings.catch_warnings():
            # It announces its removal; whoever has LiteRT never gets here.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is dep")
            return tf.lite.Interpreter(model_content=content, num_threads=threads)
