"""Write the models of Keras 2 and tensorflow-model-optimization that the tests load.

python write_sources.py FOLDER, with tf_keras 2.21 and tensorflow-model-optimization 0.8.1. It
takes 40 s, so that what it wrote lies in `sources`.
"""

import pathlib
import sys

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

layers = tf_keras.layers
CLASSES = 4
SAMPLES = 120


def network():
    """A network with the layers that make Keras 3 refuse the file, trained in `main`."""
    image = layers.Input((6, 6, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.ReLU(6.0, name="relu6")(x)
    y = layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="separable")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return tf_keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="head")(x))


def data():
    """Classes that are easy to tell apart: a pattern each, and a little noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % CLASSES
    patterns = rng.normal(size=(CLASSES, 6, 6, 3)) + 2 * rng.normal(size=(CLASSES, 1, 1, 3))
    x = patterns[labels] + 0.1 * rng.normal(size=(240, 6, 6, 3))
    return x.astype("float32"), labels


def fit(model, epochs, rate, callbacks=()):
    """Train in few steps."""
    model.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(*data(), batch_size=30, epochs=epochs, verbose=0, callbacks=list(callbacks))


def main(folder):
    """Write the files, and what each model answers as it is loaded from its file."""
    folder = pathlib.Path(folder)
    x, _ = data()
    tf_keras.utils.set_random_seed(3)
    plain = network()
    fit(plain, 30, 0.01)
    sparsity, clustering = tfmot.sparsity.keras, tfmot.clustering.keras
    schedule = sparsity.ConstantSparsity(0.5, 0, frequency=1)
    answers = {"plain": plain.predict(x, verbose=0)}
    plain.save(folder / "plain.h5", include_optimizer=False)
    plain.save(folder / "plain.keras")
    plain.save(folder / "plain_saved_model", save_format="tf", include_optimizer=False)

    def copy():
        twin = tf_keras.models.clone_model(plain)
        twin.set_weights(plain.get_weights())
        return twin

    quantized = tfmot.quantization.keras.quantize_model(copy())
    fit(quantized, 6, 0.001)
    pruned = sparsity.prune_low_magnitude(copy(), schedule)
    fit(pruned, 6, 0.002, [sparsity.UpdatePruningStep()])
    clustered = clustering.cluster_weights(
        copy(), 8, clustering.CentroidInitialization.KMEANS_PLUS_PLUS
    )
    fit(clustered, 4, 0.0005)
    for name, model in (("quantized", quantized), ("pruned", pruned), ("clustered", clustered)):
        answers[name] = model.predict(x, verbose=0)
        model.save(folder / f"{name}.h5", include_optimizer=False)
    answers = {name: array[:SAMPLES] for name, array in answers.items()}
    np.savez_compressed(folder / "answers.npz", x=x[:SAMPLES], **answers)


if __name__ == "__main__":
    main(sys.argv[1])
