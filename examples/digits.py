"""Prune and quantize a digits classifier in `fit`, and compare its integer file with float.

pip install "keras-compress[demo]"
python examples/digits.py
"""

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_compress as kc

keras.utils.set_random_seed(0)
digits = load_digits()
images = digits.images[..., None].astype("float32") / 16
x_train, x_test, y_train, y_test = train_test_split(
    images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
)

float_model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
float_model.compile(
    "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
)
float_model.fit(x_train, y_train, epochs=20, verbose=0)

# Compress: the wrapped model prunes and quantizes itself while it is trained.
model = kc.compress(
    float_model,
    pruning=kc.Pruning(scope="global", criterion="lamp"),
    quantization=kc.Quantization(profile="cortex_m4"),
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
model.fit(
    x_train,
    y_train,
    epochs=20,
    verbose=0,
    callbacks=[
        kc.PruningCallback(kc.PolynomialDecay(0.75, end_step=0.5, frequency=20)),
        kc.QuantizationCallback(begin_step=0.5, freeze_step=0.75),
    ],
)

# Convert, and prove in the file that it is integer throughout and kept its zeros.
converted = kc.convert(model, profile="cortex_m4", representative_dataset=x_train[:200])
float_file = kc.convert(float_model, profile="float32")

# Evaluate: the file in the interpreter against the float baseline.
print(kc.evaluate(converted, x_test, y_test, baseline=float_file))
