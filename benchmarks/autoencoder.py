"""Int8 after training for a dense autoencoder, beside TensorFlow's own post-training conversion.

    python benchmarks/autoencoder.py

The shape is that of MLPerf Tiny's anomaly detection (640-128-128-128-128-8-128-128-128-128-640,
BatchNormalization and ReLU behind every hidden layer). It is trained on frames that this script
makes: five successive columns of a 128-band spectrogram of machines that hum, the square root of
magnitudes, with wideband noise and now and then a knock. Knocks are what sets the ranges of plain
calibration. Each file is measured over frames of machines that calibration has not seen, apart
for frames without and with a knock: how far its reconstruction error (mean squared error of input
and output, the score of anomaly detection) is from the float model's, frame by frame, and the
mean squared difference of its outputs from the float model's. The calibrator, with channels
equalized or not, is chosen in the Keras simulation on the calibration frames; then the
rounding is. Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse

import keras
import numpy as np
import results
from ai_edge_litert.interpreter import Interpreter
from bare_converter import full_int8
from keras import layers
from training import versions

import keras_compress as kc

BANDS, FRAMES = 128, 5
CALIBRATORS = ("min_max", "mse", "octav")
STRENGTHS = (0, 0.5, 0.8)


def spectrograms(machines, columns, seed):
    """Return frames (machines * columns, 640), float32, and which of them hold a knock.

    A machine is a fundamental with overtones that fall off, over noise whose level falls with
    the frequency; its loudness drifts, and one column in 500 carries a knock of 20 to 40 dB.
    """
    random = np.random.default_rng(seed)
    made, knocked = [], []
    for _ in range(machines):
        hum = _machine(random, columns + FRAMES - 1)
        struck = random.random(len(hum)) < 0.002
        knocks = struck[:, None] * random.uniform(20, 40, (len(hum), 1))
        width = ((np.arange(BANDS) - random.uniform(10, 60)) / 25) ** 2
        column = 10 ** ((hum + knocks * np.exp(-width)) / 40)
        windows = np.lib.stride_tricks.sliding_window_view(column, FRAMES, axis=0)
        made.append(windows.transpose(0, 2, 1).reshape(columns, BANDS * FRAMES))
        knocked.append(np.lib.stride_tricks.sliding_window_view(struck, FRAMES).any(axis=1))
    return np.concatenate(made).astype("float32"), np.concatenate(knocked)


def _machine(random, columns):
    """Return the levels (columns, BANDS) of one machine in dB."""
    bands = np.arange(BANDS)
    pitch, fall = random.uniform(4, 14), random.uniform(0.5, 1.5)
    noise = -55 - 0.15 * bands + random.normal(0, 2, BANDS)
    power = np.zeros(BANDS)
    for overtone in range(1, int(BANDS / pitch)):
        width = 0.8 + 0.05 * overtone
        level = 10 ** ((-10 - 10 * fall * np.log2(overtone)) / 10)
        power += level * np.exp(-((bands - overtone * pitch) ** 2) / (2 * width**2))
    time = np.arange(columns)
    drift = 4 * np.sin(2 * np.pi * time / random.uniform(40, 120) + random.uniform(0, 6))
    hum = 10 * np.log10(power + 10 ** (noise / 10))
    return hum + drift[:, None] + random.normal(0, 1.5, (columns, BANDS))


def autoencoder():
    """Return the untrained network."""
    inputs = x = keras.Input((BANDS * FRAMES,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(BANDS * FRAMES)(x), name="autoencoder")


def trained(x, options, seed):
    """Return the network after training on frames."""
    keras.utils.set_random_seed(seed)
    model = autoencoder()
    model.layers[-1].bias.assign(x.mean(axis=0))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, options.epochs * len(x) // 256)
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(x, x, 256, options.epochs, verbose=2)
    return model


def quantized(model, samples, road, seed):
    """Return the model of a road (calibrator, strength, rounding), ready to be converted.

    `strength` is that of equalization by data; 0 for none.
    """
    calibrator, strength, rounding = road
    if strength:
        model = kc.equalize(model, samples, strength=strength)
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
        print(f"{name_of(road)}: {error:.3g} on the calibration frames", flush=True)
    return best, models[best]


def name_of(road):
    """Return a road in words."""
    calibrator, strength, rounding = road
    equalized = [f"equalized {strength}"] if strength else []
    return ", ".join([calibrator, *equalized, *([rounding] if rounding else [])])


def outputs(content, x):
    """Return a file's outputs as floats, frame by frame from LiteRT's interpreter."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    found = []
    for frame in np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8):
        interpreter.set_tensor(source["index"], frame[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    scale, zero_point = target["quantization"]
    return ((np.array(found, np.int32) - zero_point) * scale).astype(np.float32)


def distances(found, wanted, x):
    """Return the mean distance of the frames' reconstruction errors, and the outputs' error."""
    score, float_score = (((y - x) ** 2).mean(axis=1) for y in (found, wanted))
    return float(np.abs(score - float_score).mean()), float(((found - wanted) ** 2).mean())


def files_of(model, samples, options, seed):
    """Return the names and contents of TensorFlow's file, the plain one and the chosen ones."""
    plain = "min_max", 0, None
    roads = [(calibrator, strength, None) for strength in STRENGTHS for calibrator in CALIBRATORS]
    best, best_model = nearest_to_float(model, samples, roads, seed)
    rounded = [(*best[:2], rounding) for rounding in options.roundings]
    chosen, chosen_model = nearest_to_float(model, samples, rounded, seed)
    return {
        "TensorFlow": (full_int8(model, samples), ""),
        "min_max": (kc.convert(quantized(model, samples, plain, seed)).content, ""),
        "calibrator chosen": (kc.convert(best_model).content, name_of(best)),
        "calibrator and rounding chosen": (kc.convert(chosen_model).content, name_of(chosen)),
    }


def rows_of(seed, options):
    """Train from a seed and return a row for each file and kind of frame."""
    x_train, _ = spectrograms(options.machines, 200, seed)
    x_test, knocked = spectrograms(20, 200, seed + 100)
    model = trained(x_train, options, seed)
    picked = np.random.default_rng(seed).permutation(len(x_train))
    samples = x_train[picked[: options.calibration_frames]]
    wanted = model.predict(x_test, verbose=0)
    rows = []
    reference = {}
    for name, (content, road) in files_of(model, samples, options, seed).items():
        found = outputs(content, x_test)
        row = {"seed": seed, "file": name, "road": road}
        for kind, frames in (("usual", ~knocked), ("knocked", knocked)):
            score, error = distances(found[frames], wanted[frames], x_test[frames])
            of_score, of_error = reference.setdefault(kind, (score, error))
            row[f"{kind} frames: reconstruction error from float"] = f"{score:.3g}"
            row[f"{kind}: of TensorFlow's %"] = round(100 * score / of_score, 1)
            row[f"{kind}: outputs' error"] = f"{error:.3g}"
            row[f"{kind}: outputs' of TensorFlow's %"] = round(100 * error / of_error, 1)
        rows.append(row)
        print(row, flush=True)
    float_score = ((wanted - x_test) ** 2).mean(axis=1)
    means = float_score[~knocked].mean(), float_score[knocked].mean()
    return rows, "seed {}: {:.3g} and {:.3g}".format(seed, *means)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--machines", type=int, default=40, help="to train on")
    # More than the 640 inputs, so that what GPTQ inverts has full rank.
    parser.add_argument("--calibration_frames", type=int, default=2048)
    parser.add_argument("--roundings", nargs="*", default=["gptq", "adaround"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--section", default="Dense autoencoder at int8", help="in RESULTS.md")
    options = parser.parse_args()
    rows, floats = [], []
    for seed in options.seeds:
        found, means = rows_of(seed, options)
        rows += found
        floats.append(means)
    print(results.table(rows))
    if options.section:
        facts = results.provenance(
            versions(),
            data=f"{200 * options.machines} training frames of {options.machines} machines and "
            f"4000 test frames of 20 others, made from the seed and the seed + 100; "
            f"{options.calibration_frames} for calibration and rounding",
            training=f"Adam, {options.epochs} epochs, batch 256, from the seed",
            **{"float reconstruction error, usual and knocked frames": "; ".join(floats)},
        )
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
