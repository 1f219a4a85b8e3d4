"""Runtimes that execute a TFLite file. One per module.

`choose` finds the class of one, `open_file` opens a file in it.
"""

from typing import Any

from keras_compress.errors import EvaluationError
from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.support import plugins
from keras_compress.tflite.model import Model
from keras_compress.tflite.types import FileSource


def choose(runtime: str | type[Runtime] | None = None, model: Model | None = None) -> type[Runtime]:
    """Choose the class of a runtime.

    Args:
        runtime: A runtime's name, a subclass of `Runtime`, or `None` for the first that is
            installed of LiteRT, `tflite_runtime`, `tf.lite` and TFLite Micro.
        model: The file to run, a `flatbuffer.Model`, if known: if `runtime` is `None`, a file with
            weights compressed for TFLite Micro gets that runtime.

    Returns:
        A subclass of `Runtime`.

    Raises:
        UnknownNameError: No runtime has that name.
        EvaluationError: The runtime is not installed on this machine; with `None`, no runtime is.

    Example:
        >>> choose("litert").__name__
        'LiteRT'
    """
    if runtime is None and (model is None or not model.has_encoded_weights):
        return _first_available()
    runtime = runtime or "tflite_micro"
    chosen = plugins.get(__name__, runtime) if isinstance(runtime, str) else runtime
    if not chosen.available():
        raise EvaluationError(
            f"The runtime {chosen.name()!r} is not installed. Received: runtime={runtime!r}. "
            f"Install it with: {chosen.install}"
        )
    return chosen


def open_file(
    source: FileSource, runtime: str | type[Runtime] | None = None, **options: Any
) -> Runtime:
    """Open a TFLite file in a runtime.

    Args:
        source: The file's bytes, its path, or an object whose `content` is the bytes.
        runtime: As for `choose`.
        **options: `threads` and `shapes`, as `Runtime` takes them.

    Returns:
        A `Runtime`.

    Raises:
        FlatbufferError: The source is not a readable TFLite file.
        EvaluationError: No such runtime on this machine, or it refuses the file.

    Example:
        with open_file("model.tflite", runtime="tflite_micro") as opened:
            outputs = opened.run(arrays)
    """
    from keras_compress.tflite import flatbuffer

    model = flatbuffer.read(source)
    return choose(runtime, model)(model, **options)


def _first_available():
    runtimes = [plugins.get(__name__, name) for name in plugins.names(__name__)]
    automatic = [runtime for runtime in runtimes if runtime.priority is not None]
    for runtime in sorted(automatic, key=lambda runtime: runtime.priority):
        if runtime.available():
            return runtime
    raise EvaluationError(
        "No TFLite runtime is installed on this machine. Install one with: "
        "pip install ai-edge-litert"
    )
