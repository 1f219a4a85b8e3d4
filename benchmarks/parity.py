"""How many integers of a file are those that training computed: six networks that nobody tuned to.

    python benchmarks/parity.py [--networks mixed dense ...] [--epochs N]

Each network is built from its seed, trained on 797 of scikit-learn's digits, pruned to 75 % zeros
and quantized in the same `fit`, and converted. Its outputs for the other 1,000 images are compared
integer by integer with those of the fake-quantized Keras model, under the kernels that
`kc.evaluate` uses. All networks with the default epochs write their section of RESULTS.md. Half a
minute a network on two cores.
"""

import argparse

import keras
import numpy as np
import results
from keras import layers

import keras_compress as kc
from keras_compress.evaluation import execution, runtimes
from keras_compress.tflite import flatbuffer

TRAINED = 797
SEEDS = {"mixed": 11, "dense": 12, "attention": 13, "squeeze_excite": 14}
SEEDS |= {"inverted_residual": 15, "unet": 16}


def conv(x, filters, size=3, stride=1, activation="relu"):
    x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation else x


def depthwise(x, activation="relu6"):
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    return layers.Activation(activation)(layers.BatchNormalization(momentum=0.9)(x))


def mixed(x):
    """Residual, depthwise, concatenation, average pooling and dense."""
    x = conv(x, 16)
    x = layers.ReLU()(layers.Add()([x, conv(x, 16, activation=None)]))
    x = layers.Concatenate()([conv(depthwise(x), 12, 1), conv(x, 12)])
    x = conv(layers.AveragePooling2D(2)(x), 24)
    x = layers.Dense(32, activation="relu")(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    return layers.Dense(10, activation="softmax")(x)


def dense(x):
    """Four Dense layers."""
    x = layers.Flatten()(x)
    for units in (96, 64, 48):
        x = layers.Dense(units, activation="relu")(x)
    return layers.Dense(10, activation="softmax")(x)


def attention(x):
    """Patches, attention and a normalization of layers."""
    x = layers.Reshape((16, 24))(layers.Conv2D(24, 2, strides=2)(x))
    y = layers.LayerNormalization(epsilon=1e-3)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 12)(y, y)])
    y = layers.Dense(48, activation="relu")(layers.LayerNormalization(epsilon=1e-3)(x))
    x = layers.Add()([x, layers.Dense(24)(y)])
    return layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x))


def squeeze_excite(x):
    """Convolutions whose channels are weighted by squeeze-excite blocks."""
    x = conv(x, 16)
    for filters in (24, 32):
        x = conv(x, filters)
        weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
        weights = layers.Conv2D(8, 1, activation="relu")(weights)
        weights = layers.Conv2D(filters, 1, activation="sigmoid")(weights)
        x = layers.MaxPooling2D(2)(layers.Multiply()([x, weights]))
    return layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))


def inverted_residual(x):
    """Blocks of MobileNetV2."""
    x = conv(x, 16, activation="relu6")
    for _ in range(2):
        x = layers.Add()([x, conv(depthwise(conv(x, 48, 1, 1, "relu6")), 16, 1, 1, None)])
    x = layers.GlobalAveragePooling2D()(conv(x, 64, 1, 1, "relu6"))
    return layers.Dense(10, activation="softmax")(x)


def unet(x):
    """Down, up and a concatenation across; the label is read from the whole map."""
    wide = conv(x, 12)
    x = conv(layers.MaxPooling2D(2)(wide), 24)
    x = layers.UpSampling2D(2)(conv(layers.AveragePooling2D(2)(x), 24))
    x = layers.Conv2DTranspose(12, 2, strides=2)(x)
    x = conv(layers.Concatenate()([wide, x]), 16, stride=2)
    return layers.Dense(10, activation="softmax")(layers.Flatten()(x))


NETWORKS = {f.__name__: f for f in (mixed, dense, attention, squeeze_excite, inverted_residual)}
NETWORKS["unet"] = unet


def digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    return (images[order].reshape(-1, 8, 8, 1) / 16).astype("float32"), labels[order]


def trained(name, images, labels, epochs):
    """Return a network, 75 % sparse and quantized in `fit`."""
    keras.utils.set_random_seed(SEEDS[name])
    inputs = keras.Input(images.shape[1:])
    model = kc.compress(
        keras.Model(inputs, NETWORKS[name](inputs)),
        pruning=kc.Pruning(),
        quantization="generic_int8",
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
    steps = epochs * (len(images) // 32 + 1)
    callbacks = [
        kc.PruningCallback(kc.PolynomialDecay(final_sparsity=0.75, end_step=steps // 2)),
        kc.QuantizationCallback(begin_step=steps // 2, freeze_step=steps * 3 // 4),
    ]
    model.fit(images, labels, 32, epochs, verbose=0, callbacks=callbacks)
    return model


def integers(model, content, images):
    """Return the output integers of the trained model and of its file, in LiteRT."""
    file = flatbuffer.read(content)
    scale = file.outputs[0].scales[0]
    outputs = execution.run_file(file, [images], runtime=runtimes.choose("litert")).arrays[0]
    expected = model.predict(images, verbose=0)
    return np.rint(expected / scale), np.rint(outputs / scale)


def row(name, images, labels, epochs):
    """Train, convert and compare one network."""
    model = trained(name, images[:TRAINED], labels[:TRAINED], epochs)
    converted = kc.convert(model, representative_dataset=images[:200])
    expected, found = integers(model, converted.content, images[TRAINED:])
    steps = np.abs(expected - found)
    analysis = kc.analyze(model, converted, images[TRAINED:], kernels="xnnpack", sensitivity=False)
    worst = max(analysis.integers, key=lambda each: each.introduced)
    accuracy = (found.argmax(-1) == labels[TRAINED:]).mean()
    return {
        "network": name,
        "seed": SEEDS[name],
        "accuracy %": round(100 * accuracy, 1),
        "same label %": round(100 * (expected.argmax(-1) == found.argmax(-1)).mean(), 2),
        "identical integers %": round(100 * (steps == 0).mean(), 2),
        "more than one step off %": round(100 * (steps > 1).mean(), 3),
        "operator that adds most": f"{worst.operator}, {100 * worst.introduced:.3f} %",
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    images, labels = digits()
    rows = []
    for name in arguments.networks:
        rows.append(row(name, images, labels, arguments.epochs))
        print(rows[-1], flush=True)
    if arguments.networks == list(NETWORKS) and arguments.epochs == parser.get_default("epochs"):
        about = (
            "Six networks, each 75 % sparse and quantized in `fit`; 1,000 test images of "
            "scikit-learn's digits. The trained Keras model against its file in LiteRT's default "
            "kernels (XNNPACK). The last column is what an operator adds for equal inputs, over 64 "
            "images."
        )
        versions = results.package_versions("tensorflow", "keras", "ai-edge-litert", "numpy")
        results.write_section(
            "Integers of the file against the trained model",
            about,
            results.table(rows),
            results.provenance(versions),
        )


if __name__ == "__main__":
    main()
