"""Post-training quantization, method by method, from one float baseline for each network.

    python benchmarks/ptq.py --networks resnet8 mobilenet_v1_025

Calibrators, weight quantizers, roundings and corrections against plain min-max (largest weight,
extremes of activations, nearest integer), at W8A8, W4A8 and W4A4, all with a scale for each
output channel; and LSQ, which trains. Accuracies are those of the Keras simulation over the test
split; for rows that a runtime can execute also those of the `.tflite` in the interpreter. Writes
its section of RESULTS.md after each width; `--section ""` prints only.
"""

import argparse
import dataclasses
import time

import keras
import numpy as np
import results
from cifar10_data import augmented, load, load_uint8, source
from training import BASELINES, baseline, one_cycle, versions

import keras_compress as kc

WIDTHS = {"W8A8": (8, 8), "W4A8": (4, 8), "W4A4": (4, 4)}
DEPLOYABLE = ("W8A8", "W4A8")


@dataclasses.dataclass(frozen=True)
class Method:
    """One way of quantizing a trained model.

    Args:
        quantizer: Weight quantizer.
        calibrator: Activation calibrator.
        rounding: Rounding of weights; `None` leaves the nearest.
        correction: Function of (model, data) that mends the quantized model; `None` for none.
        equalized: Whether channels are equalized first; `"data"` also looks at activations.
        trained: Whether it is fine-tuned in `fit`.
    """

    quantizer: str = "abs_max"
    calibrator: str = "min_max"
    rounding: str | None = None
    correction: object = None
    equalized: bool | str = False
    trained: bool = False


PLAIN = "min-max"
WEIGHTS = {
    "least_squares weights": Method(quantizer="least_squares"),
    "percentile weights": Method(quantizer="percentile"),
    "power_of_two scales": Method(quantizer="power_of_two"),
}
ACTIVATIONS = {
    f"{name} ranges": Method(calibrator=name)
    for name in ("moving_average", "percentile", "entropy", "mse", "octav")
}
MENDED = {
    "min-max, equalized": Method(equalized=True),
    "min-max, equalized by data": Method(equalized="data"),
    "min-max, BatchNorm re-estimated": Method(correction=kc.reestimate_batch_norm),
    "min-max, biases corrected": Method(correction=kc.correct_biases),
    "min-max, GPTQ": Method(rounding="gptq"),
    "min-max, AdaRound": Method(rounding="adaround"),
    "least_squares, mse, GPTQ": Method("least_squares", "mse", "gptq"),
    "least_squares, mse, AdaRound": Method("least_squares", "mse", "adaround"),
}
TRAINED = {"LSQ (trained)": Method("learned_step", "mse", trained=True)}
METHODS = {PLAIN: Method(), **WEIGHTS, **ACTIVATIONS, **MENDED, **TRAINED}
# What a width says little about is left out: roundings and training at W8A8, weights at W4A4.
CHOICE = {
    "W8A8": [PLAIN, *ACTIVATIONS, "min-max, biases corrected"],
    "W4A8": [PLAIN, *WEIGHTS, *MENDED, *TRAINED],
    "W4A4": [PLAIN, *ACTIVATIONS, "min-max, biases corrected", *list(MENDED)[-2:], *TRAINED],
}


def quantize(float_model, method, widths, data, options):
    """Return the float model compressed by a method."""
    weight_bits, activation_bits = widths
    spec = kc.Quantization(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        weight_quantizer=method.quantizer,
        calibrator="moving_average",
    )
    seen = data if method.equalized == "data" else None
    even = kc.equalize(float_model, seen) if method.equalized else float_model
    model = kc.compress(even, quantization=spec)
    kc.calibrate(model, data, method=method.calibrator)
    if method.rounding:
        kc.round_weights(model, data, method.rounding, samples=len(data), seed=options.seed)
    if method.correction:
        method.correction(model, data, samples=len(data))
    if method.trained:
        train(model, options)
    return model


def train(model, options):
    """Fine-tune in `fit`: weights and steps, the latter without weight decay."""
    keras.utils.set_random_seed(options.seed)
    data = augmented(*load_uint8("train", options.images), seed=options.seed)
    steps = options.epochs * len(data)
    model.compile(
        one_cycle(options.learning_rate, steps),
        "sparse_categorical_crossentropy",
        jit_compile=False,  # XLA takes longer on two processor cores
    )
    freeze = kc.QuantizationCallback(freeze_step=int(0.5 * steps))
    model.fit(data, epochs=options.epochs, callbacks=[freeze], verbose=2)


def accuracy(model, x, y):
    """Return the accuracy in percent."""
    return 100 * float(np.mean(model.predict(x, batch_size=250, verbose=0).argmax(-1) == y))


def measure(network, float_model, name, width, data, options):
    """Return the row of one method at one width."""
    calibration, x, y, float_accuracy = data
    start = time.process_time()
    model = quantize(float_model, METHODS[name], WIDTHS[width], calibration, options)
    seconds = time.process_time() - start
    found = accuracy(model, x, y)
    in_file = ""
    if width in DEPLOYABLE and name in options.in_file:
        converted = kc.convert(model)
        in_file = round(100 * kc.evaluate(converted, x, y, latency_runs=0).model.accuracy, 2)
    return {
        "network": network,
        "width": width,
        "method": name,
        "test accuracy %": round(found, 2),
        "points from float": round(found - float_accuracy, 2),
        "in the file %": in_file,
        "CPU s": round(seconds),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(BASELINES), default=["resnet8"])
    parser.add_argument("--widths", nargs="+", choices=list(WIDTHS), default=list(WIDTHS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), help="at every width")
    parser.add_argument("--in_file", nargs="*", default=[PLAIN, "min-max, AdaRound", *TRAINED])
    parser.add_argument("--calibration_images", type=int, default=512)
    parser.add_argument("--test_images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2, help="of LSQ")
    parser.add_argument("--images", type=int, default=20_000, help="for LSQ")
    parser.add_argument("--learning_rate", type=float, default=0.01, help="of LSQ, at its peak")
    parser.add_argument("--baseline_epochs", type=int, help="where not the network's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--section", default="Post-training quantization", help="in RESULTS.md")
    options = parser.parse_args()
    calibration, _ = load("train", options.calibration_images)
    x, y = load("test", options.test_images)
    rows, baselines = [], []
    for network in options.networks:
        changes = {"epochs": options.baseline_epochs} if options.baseline_epochs else {}
        float_model, record = baseline(network, **changes)
        reference = accuracy(float_model, x, y)
        baselines.append(f"{network} {record['epochs']} epochs, {reference:.2f} % in float")
        data = calibration, x, y, reference
        for width in options.widths:
            for name in options.methods or CHOICE[width]:
                rows.append(measure(network, float_model, name, width, data, options))
                print(rows[-1], flush=True)
            write(rows, baselines, options)


def write(rows, baselines, options):
    """Print the table, and put it into RESULTS.md."""
    print(results.table(rows))
    if options.section:
        trained = any(row["method"] in TRAINED for row in rows)
        training = {
            "training": f"LSQ {options.epochs} epochs of {options.images} images, batch 128, peak "
            f"rate {options.learning_rate}, seed {options.seed}"
        }
        facts = results.provenance(
            versions(),
            data=f"{source()}, {options.test_images} test images, calibration and rounding on "
            f"{options.calibration_images} training images",
            baselines="; ".join(baselines),
            **(training if trained else {}),
        )
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
