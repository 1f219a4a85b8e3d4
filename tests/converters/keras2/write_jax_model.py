"""Write the model of Keras' JAX backend that the tests load: python write_jax_model.py FOLDER

Wants an environment with jax and keras; TensorFlow is not needed.
"""

import os
import pathlib
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np

CLASSES = 4


def main(folder):
    """Train a small network, write it and what it answers."""
    folder = pathlib.Path(folder)
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    labels = np.arange(240) % CLASSES
    patterns = rng.normal(size=(CLASSES, 6, 6, 3)) + 2 * rng.normal(size=(CLASSES, 1, 1, 3))
    x = (patterns[labels] + 0.1 * rng.normal(size=(240, 6, 6, 3))).astype("float32")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3), name="image"),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, labels, batch_size=30, epochs=30, verbose=0)
    assert keras.backend.backend() == "jax"
    answers = model.predict(x, verbose=0)
    assert (answers.argmax(-1) == labels).mean() > 0.99
    model.compile(loss="mse")  # a small file, without the optimizer's state
    model.save(folder / "jax.keras")
    np.savez_compressed(folder / "jax_answers.npz", x=x[:120], jax=answers[:120])


if __name__ == "__main__":
    main(sys.argv[1])
