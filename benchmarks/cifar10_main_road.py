"""CIFAR-10 along the main road: compress, fit with callbacks, convert, evaluate the file.

    python benchmarks/cifar10_main_road.py --networks resnet8 mobilenet_v1_025

From one cached float baseline each: int8 after training (no `fit`), int8 quantization-aware,
and 50 % sparse with int8 quantization-aware. Every row's accuracy is that of the `.tflite` in
the interpreter over the whole test split. Writes its section of RESULTS.md; `--section ""`
prints only.
"""

import argparse
import gzip
import time

import keras
import results
from cifar10_data import augmented, load, load_uint8, source
from training import BASELINES, baseline, one_cycle, versions

import keras_compress as kc

CALIBRATION_IMAGES = 500


def fine_tune(model, options, callbacks):
    """Train a compressed model for a few epochs at a low rate."""
    keras.utils.set_random_seed(options.seed)
    data = augmented(*load_uint8("train", options.images), seed=options.seed)
    model.compile(
        one_cycle(options.learning_rate, options.epochs * len(data)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA takes 1.8 times as long on two processor cores
    )
    model.fit(data, epochs=options.epochs, callbacks=callbacks, verbose=2)


def steps_of(options, share):
    """Return the step at which a share of the fine-tuning is done."""
    return int(share * options.epochs * (options.images // 128))


def post_training(float_model, options):
    """Return the float model itself: conversion calibrates it."""
    return float_model


def int8_aware(float_model, options):
    """Return the float model after quantization-aware fine-tuning."""
    model = kc.compress(float_model, quantization=kc.Quantization())
    fine_tune(model, options, [kc.QuantizationCallback(freeze_step=steps_of(options, 0.75))])
    return model


def sparse_int8_aware(float_model, options):
    """Return it half pruned over the first half of the steps, quantized in the second."""
    model = kc.compress(float_model, pruning=kc.Pruning(), quantization=kc.Quantization())
    half = steps_of(options, 0.5)
    callbacks = [
        kc.PruningCallback(kc.PolynomialDecay(final_sparsity=0.5, begin_step=0, end_step=half)),
        kc.QuantizationCallback(begin_step=half, freeze_step=steps_of(options, 0.75)),
    ]
    fine_tune(model, options, callbacks)
    return model


ROADS = {
    "int8 after training": post_training,
    "int8 aware": int8_aware,
    "50 % sparse, int8 aware": sparse_int8_aware,
}


def measure(network, road, float_model, options):
    """Compress `float_model` by `road` and return a row about the file that comes of it."""
    start = time.perf_counter()
    model = ROADS[road](float_model, options)
    seconds = time.perf_counter() - start
    calibration, _ = load("train", CALIBRATION_IMAGES)
    converted = kc.convert(model, representative_dataset=calibration)
    x, y = load("test")
    result = kc.evaluate(converted, x, y, baseline=float_model)
    simulated = kc.evaluate(converted, x, y, baseline=model).label_agreement
    return {
        "network": f"{network}, {road}",
        "test accuracy %": round(100 * result.model.accuracy, 2),
        "points from float": round(100 * (result.model.accuracy - result.baseline.accuracy), 2),
        "same label as float %": round(100 * result.label_agreement, 2),
        "same label as in Keras %": round(100 * simulated, 2),
        "SQNR dB": round(result.output_error["sqnr_db"], 1),
        "zeros %": round(100 * result.model.sparsity, 1),
        "bytes": result.model.bytes,
        "gzip bytes": result.model.gzip_bytes,
        "fine-tuning s": round(seconds),
    }


def float_row(network, record, float_model):
    content = bytes(kc.convert(float_model, "float32"))
    return {
        "network": f"{network}, float",
        "test accuracy %": round(100 * record["accuracy"], 2),
        "points from float": 0.0,
        "same label as float %": 100.0,
        "same label as in Keras %": 100.0,
        "SQNR dB": "",
        "zeros %": 0.0,
        "bytes": len(content),
        "gzip bytes": len(gzip.compress(content)),
        "fine-tuning s": "",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(BASELINES), default=["resnet8"])
    parser.add_argument("--roads", nargs="+", choices=sorted(ROADS), default=list(ROADS))
    parser.add_argument("--epochs", type=int, default=4, help="of fine-tuning")
    parser.add_argument("--images", type=int, default=50_000, help="for fine-tuning")
    parser.add_argument("--learning_rate", type=float, default=0.02, help="at its peak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--section", default="CIFAR-10: the main road", help="in RESULTS.md")
    options = parser.parse_args()
    rows, training = [], []
    for network in options.networks:
        float_model, record = baseline(network)
        rows.append(float_row(network, record, float_model))
        training.append(
            f"{network} {record['epochs']} epochs, seed {record['seed']}, {record['seconds']} s"
        )
        for road in options.roads:
            rows.append(measure(network, road, float_model, options))
            print(rows[-1], flush=True)
    print(results.table(rows))
    if options.section:
        facts = results.provenance(
            versions(),
            data=f"{source()}, {record['test_images']} test images",
            baselines="; ".join(training),
            fine_tuning=f"{options.epochs} epochs of {options.images} images, batch 128, "
            f"peak rate {options.learning_rate}, seed {options.seed}",
        )
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
