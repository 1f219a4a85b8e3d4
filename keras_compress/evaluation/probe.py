"""Trying a stranger's file in a child process, before this process opens it."""

import os
import signal
import subprocess
import sys

from keras_compress.converters import flatbuffer
from keras_compress.errors import EvaluationError
from keras_compress.evaluation import runtimes

_WORKER = "keras_compress.evaluation._probe_worker"


def probe(source, runtime=None, timeout=60.0):
    """Open a file and run it once, on zeros, in a child process.

    An interpreter is C++ that may abort, crash or never end on a file that was made to do so
    or was damaged. What the child survives, this process may open.

    Args:
        source: The file's bytes, its path, or an object whose `content` is the bytes.
        runtime: As for `runtimes.choose`.
        timeout: Seconds after which the child is killed.

    Raises:
        FlatbufferError: The source is no readable TFLite file.
        EvaluationError: The runtime refuses the file, or it crashed or hung on it.

    Example:
        probe("from_a_stranger.tflite", timeout=10)
    """
    model = flatbuffer.read(source)
    chosen = runtimes.choose(runtime)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", _WORKER, chosen.name()],
            input=model.content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise _refuse(chosen, f"did not end within {timeout:g} seconds", model) from None
    if done.returncode < 0:
        raise _refuse(chosen, f"crashed ({signal.Signals(-done.returncode).name})", model)
    if done.returncode:
        reason = done.stdout.decode("utf-8", "replace").strip()
        raise EvaluationError(reason or _refuse(chosen, "failed", model))


def _refuse(runtime, what, model):
    return EvaluationError(
        f"The runtime {runtime.name()!r} {what} on this file, tried in a child process. "
        f"Received: {len(model.content):,} bytes. Convert the model anew, and do not open the "
        "file in a process that must live."
    )
