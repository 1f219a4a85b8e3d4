"""Try an untrusted file in a separate process before this process opens it."""

from keras_compress.evaluation import runtimes
from keras_compress.evaluation.isolation import Isolation
from keras_compress.tflite import flatbuffer


def probe(source, runtime=None, timeout=60.0):
    """Open a file and run it once, on zeros, in a separate process.

    Args:
        source: The file's bytes, its path, or an object whose `content` is the bytes.
        runtime: As for `runtimes.choose`.
        timeout: Seconds after which that process is killed.

    Raises:
        FlatbufferError: The source is not a readable TFLite file.
        EvaluationError: The runtime refuses the file, or it crashed or hung on it.

    Example:
        probe("download.tflite", timeout=10)
    """
    model = flatbuffer.read(source)
    chosen = runtimes.choose(runtime, model)
    Isolation(seconds=timeout).call("try", model, (), runtime=chosen)
