"""Int8 after training for a dense autoencoder, beside TensorFlow's own post-training conversion.

    python benchmarks/autoencoder.py

The shape is that of MLPerf Tiny's anomaly detection (640-128-128-128-128-8-128-128-128-128-640,
BatchNormalization and ReLU behind every hidden layer). It is trained on frames that this script
makes: five successive columns of a 128-band log-mel-like spectrogram, in dB, of machines that
hum, with wideband noise and now and then a knock. How close a file is to the float model is
measured over frames of machines that calibration has not seen, as the distance of its
reconstruction error (mean squared error of input and output) from the float model's, and as the
mean squared difference of its outputs from the float model's. The calibrator, with channels
equalized or not, is chosen in the Keras simulation on the calibration frames; then the rounding
is. Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse

import keras
import numpy as np
import results
import tensorflow as tf
from keras import layers
from training import versions

import keras_compress as kc

BANDS, FRAMES = 128, 5
CALIBRATORS = ("min_max", "percentile", "mse", "octav")


def spectrograms(machines, columns, seed):
    """Return frames (machines * columns, 640) in dB, float32.

    A machine is a fundamental with overtones that fall off, over noise whose level falls with
    the frequency; its loudness drifts, and one column in a hundred carries a knock of 20 to 40 dB.
    """
    random = np.random.default_rng(seed)
    bands = np.arange(BANDS)
    made = []
    for _ in range(machines):
        pitch, fall = random.uniform(4, 14), random.uniform(0.5, 1.5)
        noise = -55 - 0.15 * bands + random.normal(0, 2, BANDS)
        power = np.zeros(BANDS)
        for overtone in range(1, int(BANDS / pitch)):
            width = 0.8 + 0.05 * overtone
            level = 10 ** ((-10 - 10 * fall * np.log2(overtone)) / 10)
            power += level * np.exp(-((bands - overtone * pitch) ** 2) / (2 * width**2))
        time = np.arange(columns + FRAMES - 1)
        drift = 4 * np.sin(2 * np.pi * time / random.uniform(40, 120) + random.uniform(0, 6))
        hum = 10 * np.log10(power + 10 ** (noise / 10))
        column = hum + drift[:, None] + random.normal(0, 1.5, (len(time), BANDS))
        knocks = (random.random(len(time)) < 0.01)[:, None] * random.uniform(20, 40, (len(time), 1))
        column += knocks * np.exp(-(((bands - random.uniform(10, 60)) / 25) ** 2))
        windows = np.lib.stride_tricks.sliding_window_view(column, FRAMES, axis=0)
        made.append(windows.transpose(0, 2, 1).reshape(columns, BANDS * FRAMES))
    return np.concatenate(made).astype("float32")


def autoencoder():
    """Return the untrained network."""
    inputs = x = keras.Input((BANDS * FRAMES,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(BANDS * FRAMES)(x), name="autoencoder")


def trained(x, options):
    """Return the network after training on frames."""
    keras.utils.set_random_seed(options.seed)
    model = autoencoder()
    model.layers[-1].bias.assign(x.mean(axis=0))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, options.epochs * len(x) // 256)
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(x, x, 256, options.epochs, verbose=2)
    return model


def tensorflow_file(model, samples):
    """Return what TensorFlow's own full-integer post-training conversion makes of the model."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def quantized(model, samples, road, seed):
    """Return the model of a road (calibrator, equalized, rounding), ready to be converted."""
    calibrator, equalized, rounding = road
    model = kc.equalize(model) if equalized else model
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, samples, method=calibrator)
    if rounding:
        kc.round_weights(compressed, samples, rounding, samples=len(samples), seed=seed)
    return compressed


def nearest_to_float(model, samples, roads, seed):
    """Return the road whose simulation is nearest to float on samples, its model, all errors."""
    wanted = model.predict(samples, verbose=0)
    models = {road: quantized(model, samples, road, seed) for road in roads}
    errors = {
        road: float(np.mean((one.predict(samples, verbose=0) - wanted) ** 2))
        for road, one in models.items()
    }
    best = min(errors, key=errors.get)
    for road, error in errors.items():
        print(f"{name_of(road)}: {error:.4f} on the calibration frames", flush=True)
    return best, models[best]


def name_of(road):
    """Return a road in words."""
    calibrator, equalized, rounding = road
    return ", ".join(
        [calibrator, *(["equalized"] if equalized else []), *([rounding] if rounding else [])]
    )


def distances(content, model, x):
    """Return a file's reconstruction error, its distance from float, and the outputs' error."""
    result = kc.evaluate(content, x, x, baseline=model, metrics="mse", latency_runs=0)
    found, wanted = result.model.metrics["mse"], result.baseline.metrics["mse"]
    return found, found - wanted, result.output_error["mse"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--machines", type=int, default=60, help="to train on")
    parser.add_argument("--calibration_frames", type=int, default=512)
    parser.add_argument("--roundings", nargs="*", default=["gptq", "adaround"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--section", default="Dense autoencoder at int8", help="in RESULTS.md")
    options = parser.parse_args()
    x_train = spectrograms(options.machines, 200, options.seed)
    x_test = spectrograms(20, 200, options.seed + 1)
    model = trained(x_train, options)
    picked = np.random.default_rng(options.seed).permutation(len(x_train))
    samples = x_train[picked[: options.calibration_frames]]
    plain = "min_max", False, None
    roads = [(calibrator, equal, None) for equal in (False, True) for calibrator in CALIBRATORS]
    best, best_model = nearest_to_float(model, samples, roads, options.seed)
    rounded = [(*best[:2], rounding) for rounding in options.roundings]
    chosen, chosen_model = nearest_to_float(model, samples, rounded, options.seed)
    files = {
        "TensorFlow": tensorflow_file(model, samples),
        name_of(plain): kc.convert(quantized(model, samples, plain, options.seed)).content,
        f"{name_of(best)} (chosen)": kc.convert(best_model).content,
        f"{name_of(chosen)} (chosen)": kc.convert(chosen_model).content,
    }
    rows = [
        {"file": "float", "reconstruction error": _float_error(model, x_test)}
        | dict.fromkeys(("from float", "of TensorFlow's %", "outputs' error"), "")
    ]
    reference = distances(files["TensorFlow"], model, x_test)
    for name, content in files.items():
        error, distance, outputs = distances(content, model, x_test)
        rows.append(
            {
                "file": name,
                "reconstruction error": round(error, 4),
                "from float": round(distance, 4),
                "of TensorFlow's %": round(100 * distance / reference[1], 1),
                "outputs' error": round(outputs, 4),
                "outputs' of TensorFlow's %": round(100 * outputs / reference[2], 1),
            }
        )
    rows[0]["outputs' of TensorFlow's %"] = ""
    print(results.table(rows))
    if options.section:
        facts = results.provenance(
            versions(),
            data=f"{len(x_train)} training frames of {options.machines} machines and "
            f"{len(x_test)} test frames of 20 others, made from seeds {options.seed} and "
            f"{options.seed + 1}; {len(samples)} for calibration and rounding",
            training=f"Adam, {options.epochs} epochs, batch 256, seed {options.seed}",
        )
        results.write_section(options.section, facts, results.table(rows))


def _float_error(model, x):
    return round(float(np.mean((model.predict(x, verbose=0) - x) ** 2)), 4)


if __name__ == "__main__":
    main()
