"""The child process of the TensorFlow engine: each message names the folder of a job.

In a job's folder, `stage` and `progress` say how far the job is, `failure.json` says why it was
refused, and `model.tflite` appears only once it is complete. `exit_code` is written last.
"""

import functools
import gc
import json
import os
import pathlib
import sys
import threading

import numpy as np

from keras_compress.support import messages

_REPORT_EVERY = 10


def main(idle_s):
    """Run the jobs that arrive on stdin, until it closes or none arrives for `idle_s` seconds."""
    idle = None
    while (folder := _next_folder()) is not None:
        if idle is not None:
            idle.cancel()
        exit_code = run(folder)
        idle = threading.Timer(idle_s, os._exit, (3,))
        idle.daemon = True
        idle.start()
        _write(folder / "exit_code", str(exit_code).encode())


def _next_folder():
    try:
        message, _ = messages.receive(sys.stdin.buffer)
    except EOFError:
        return None
    return pathlib.Path(message["folder"])


def run(folder):
    """Run the job in a folder.

    Args:
        folder: `pathlib.Path` of a folder with `job.json`, written by the TensorFlow engine.

    Returns:
        The exit code: 0, or 1 if the job failed and `failure.json` says why.
    """
    job = json.loads((folder / "job.json").read_text())
    _tell(folder, "importing TensorFlow")
    tf = _tensorflow()
    _tell(folder, "reading the model")
    try:
        content = _convert(tf, folder, job)
    except Exception as error:
        _explain(tf, folder, job)
        failure = {"kind": type(error).__name__, "message": str(error)}
        _write(folder / "failure.json", json.dumps(failure).encode())
        return 1
    _write(folder / "model.tflite", content)
    return 0


@functools.cache
def _tensorflow():
    """Import TensorFlow without garbage collection, which would take a seventh of the time."""
    gc.disable()
    try:
        import tensorflow
    finally:
        gc.freeze()
        gc.enable()
    _reset_states_before_each_sample()
    return tensorflow


def _reset_states_before_each_sample():
    """Let each sample of a calibration begin with states of zeros, as Keras' LSTM does.

    TensorFlow's calibrator resets them before the first sample of a call only: the ranges of what
    follows an LSTM would be those of samples that continue one another.
    """
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    feed = Calibrator._feed_tensors

    def feed_each(self, dataset_gen, resize_input):
        for sample in dataset_gen():
            feed(self, lambda sample=sample: (sample,), resize_input)

    Calibrator._feed_tensors = feed_each


def _convert(tf, folder, job):
    converter = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"])
    if job["mode"] == "float32":
        _tell(folder, "converting")
        return converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # The converter has no public switch for these two.
    per_dense = job["per_channel_dense"]
    converter._experimental_disable_per_channel = not job["per_channel"]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_dense
    if job["mode"] in ("float16", "dynamic_range"):
        _tell(folder, "converting")
        if job["mode"] == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()
    operators = {
        "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }
    converter.representative_dataset = lambda: _samples(folder, job)
    converter.target_spec.supported_ops = [operators[job["mode"]]]
    if job["allow_float"]:
        converter.target_spec.supported_ops += [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.inference_input_type = tf.dtypes.as_dtype(job["input_type"])
    converter.inference_output_type = tf.dtypes.as_dtype(job["output_type"])
    return converter.convert()


def _samples(folder, job):
    """Yield the samples batch by batch, memory-mapped, and report progress."""
    arrays = {
        name: np.load(folder / file, mmap_mode="r") for name, file in job["calibration"].items()
    }
    total, size = len(next(iter(arrays.values()))), job["batch_size"]
    _tell(folder, "calibrating")
    for start in range(0, total, size):
        if start // size % _REPORT_EVERY == 0:
            _write(folder / "progress", f"{start} {total}".encode())
        # The last batch is filled up with samples from the start.
        rows = np.arange(start, start + size) % total
        yield {name: np.ascontiguousarray(array[rows]) for name, array in arrays.items()}
    _write(folder / "progress", f"{total} {total}".encode())
    _tell(folder, "quantizing")


def _explain(tf, folder, job):
    """Write a float file after a failed quantization: it shows which layer an operator is from."""
    if job["mode"] == "float32":
        return
    try:
        content = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"]).convert()
    except Exception:
        return
    _write(folder / "float.tflite", content)


def _tell(folder, stage):
    _write(folder / "stage", stage.encode())


def _write(path, content):
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


if __name__ == "__main__":
    main(float(sys.argv[1]))
