"""LiteRT with Coral's Edge TPU, if a device and its library are present."""

import ctypes
import ctypes.util
from typing import Any

from keras_compress.evaluation.runtimes._interpreter import InterpreterRuntime

_LIBRARY = "libedgetpu.so.1"


class EdgeTPU(InterpreterRuntime):
    """LiteRT's interpreter with a delegate that runs compiled operators on an Edge TPU.

    It runs a file that `edgetpu_compiler` wrote (`keras_compress.exporting.coral`); in any other
    file every operator runs on the CPU. Not confirmed: no device was available.

    Source: Google, "Run inference on the Edge TPU with Python", coral.ai.
    """

    module = "ai_edge_litert"
    package = "ai-edge-litert"
    install = "pip install ai-edge-litert, and Coral's library libedgetpu1-std"

    @classmethod
    def available(cls) -> bool:
        """Return whether LiteRT and the device's library are installed."""
        return super().available() and ctypes.util.find_library("edgetpu") is not None

    @classmethod
    def _create(cls, content: bytes, threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter, load_delegate

        try:
            # LiteRT 2.3's Delegate raises in its destructor if its library did not load.
            ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise ValueError(str(error)) from error
        return Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_delegates=[load_delegate(_LIBRARY)],
        )
