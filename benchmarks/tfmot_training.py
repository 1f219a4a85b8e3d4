"""One training with tensorflow-model-optimization, for `peers.py`, in a process of its own.

    python benchmarks/tfmot_training.py JOB

JOB is JSON: "method" (a name in `METHODS`), "network", "weights" (of the float baseline, written
by Keras 3), "epochs", "images", "learning_rate", "seed", "calibration" (a `.npy` of images) and
"file", where the int8 `.tflite` is to be written.
"""

import json
import sys
from pathlib import Path

import keras2
import layer_weights
import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from bare_converter import full_int8
from cifar10_data import augmented, load_uint8
from training import one_cycle


def fine_tune(model, job, epochs, callbacks=()):
    """Train for some epochs, the learning rate rising and falling once."""
    tf_keras.utils.set_random_seed(job["seed"])
    data = keras2.Batches(augmented(*load_uint8("train", job["images"]), seed=job["seed"]))
    model.compile(
        one_cycle(job["learning_rate"], epochs * len(data), library=tf_keras),
        "sparse_categorical_crossentropy",
    )
    model.fit(data, epochs=epochs, callbacks=[*callbacks], verbose=2)
    return model


def prune(model, job, sparsity, epochs):
    """Prune over the first two thirds of some epochs; return the stripped model."""
    frequency = job["frequency"]
    updates = int(2 / 3 * epochs * (job["images"] // 128)) // frequency
    pruned = keras2.pruned(model, sparsity, updates * frequency, frequency)
    update = tfmot.sparsity.keras.UpdatePruningStep()
    trained = fine_tune(pruned, job, epochs, [update])
    return tfmot.sparsity.keras.strip_pruning(trained)


def quantize(model, job):
    """Train with quantization simulated."""
    return fine_tune(tfmot.quantization.keras.quantize_model(model), job, job["epochs"])


def cluster(model, job):
    """Train 16 values for each kernel."""
    centroids = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    # By default gradients of the weights of a cluster are summed: at these rates that diverges.
    clustered = tfmot.clustering.keras.cluster_weights(
        model, 16, centroids, cluster_gradient_aggregation="GradientAggregation.AVG"
    )
    trained = fine_tune(clustered, job, job["epochs"])
    return tfmot.clustering.keras.strip_clustering(trained)


def prune_and_quantize(model, job):
    """Prune to a half in the first half of the epochs; quantize in the rest, zeros kept."""
    first = job["epochs"] // 2
    sparse = prune(model, job, 0.5, first)
    annotated = tfmot.quantization.keras.quantize_annotate_model(sparse)
    scheme = tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    aware = tfmot.quantization.keras.quantize_apply(annotated, scheme)
    return fine_tune(aware, job, job["epochs"] - first)


METHODS = {
    "50 % zeros": lambda model, job: prune(model, job, 0.5, job["epochs"]),
    "75 % zeros": lambda model, job: prune(model, job, 0.75, job["epochs"]),
    "90 % zeros": lambda model, job: prune(model, job, 0.9, job["epochs"]),
    "quantization-aware": quantize,
    "16 values a kernel": cluster,
    "50 % zeros, quantization-aware": prune_and_quantize,
}


def main():
    job = json.loads(sys.argv[1])
    model = keras2.network(job["network"])
    layer_weights.load(model, job["weights"])
    model = METHODS[job["method"]](model, job)
    Path(job["file"]).write_bytes(full_int8(model, np.load(job["calibration"])))


if __name__ == "__main__":
    main()
