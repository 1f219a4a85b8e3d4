"""LiteRT, the TFLite runtime that Google maintains."""

from typing import Any

from keras_compress.evaluation.runtimes._interpreter import InterpreterRuntime


class LiteRT(InterpreterRuntime):
    """LiteRT's interpreter with its default kernels (XNNPACK's, if it has them).

    XNNPACK rounds once where the reference kernels round twice, so that integers may differ by a
    few steps from those on a microcontroller: `litert_reference` and `tflite_micro` run the
    reference kernels.
    """

    priority = 0
    module = "ai_edge_litert"
    package = "ai-edge-litert"
    install = "pip install ai-edge-litert"

    @classmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=content, num_threads=threads)
