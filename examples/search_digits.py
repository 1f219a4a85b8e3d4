"""Find the smallest digits classifier for a microcontroller that loses at most one point.

pip install "keras-compress[demo,micro,search]"
python examples/search_digits.py --seconds 600

Killed and started again it goes on where it was: all it knows is in `digits_search/search.db`.
"""

import argparse

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_compress as kc

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=600)
parser.add_argument("--trials", type=int)
parser.add_argument("--epochs", type=int, default=9)
options = parser.parse_args()

keras.utils.set_random_seed(0)
digits = load_digits()
images = digits.images[..., None].astype("float32") / 16
x_train, x_rest, y_train, y_rest = train_test_split(
    images, digits.target, test_size=0.4, stratify=digits.target, random_state=0
)
# The search chooses by one part, the other has the last word.
x_val, x_test, y_val, y_test = train_test_split(
    x_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0
)


def network():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x_train, y_train, epochs=20, verbose=0)
    return model


result = kc.search(
    network,
    (x_train, y_train),
    (x_val, y_val),
    profile="cortex_m4",
    constraints=kc.Constraints(max_accuracy_drop=0.01, macs=0.6),
    budget=options.seconds,
    trials=options.trials,
    epochs=options.epochs,
    folder="digits_search",
)
print(result)
for path in result.save("digits_found"):
    print(path)
print(kc.evaluate(result.file, x_test, y_test))
