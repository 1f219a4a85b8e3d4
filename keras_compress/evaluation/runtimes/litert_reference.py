"""LiteRT with the reference kernels: slow, but the reference for bit-exact comparison."""

from typing import Any

from keras_compress.evaluation.runtimes._interpreter import InterpreterRuntime


class LiteRTReference(InterpreterRuntime):
    """LiteRT's interpreter with TFLite's reference kernels and no delegate."""

    module = "ai_edge_litert"
    package = "ai-edge-litert"
    install = "pip install ai-edge-litert"

    @classmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        return Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
