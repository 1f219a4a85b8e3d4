"""The child process of tf_keras: `predict MODEL IN.npz OUT.npz`, or `save MODEL OUT.h5`."""

import contextlib
import importlib.util
import os
import sys

import numpy as np


def main(task, path, *rest):
    """Run one of the tasks that the module's docstring lists."""
    _limit_resources()
    model = _load(path)
    if task == "save":
        model.save(rest[0], include_optimizer=False, save_format="h5")
        return
    with np.load(rest[0], allow_pickle=False) as arrays:
        inputs = [arrays[name] for name in arrays.files]
    outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    if isinstance(outputs, dict):
        outputs = [outputs[name] for name in sorted(outputs)]
    np.savez(rest[1], *(outputs if isinstance(outputs, list | tuple) else [outputs]))


def _limit_resources():
    """Let a model that needs more than the machine's memory end this process and no other."""
    if sys.platform == "win32":
        return
    import resource

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A hard limit may be lower already.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _load(path):
    if importlib.util.find_spec("tensorflow_model_optimization") is None:
        import tf_keras

        return tf_keras.models.load_model(path, compile=False)
    import tensorflow_model_optimization as tfmot
    import tf_keras

    with (
        tfmot.quantization.keras.quantize_scope(),
        tfmot.sparsity.keras.prune_scope(),
        tfmot.clustering.keras.cluster_scope(),
    ):
        return tf_keras.models.load_model(path, compile=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
