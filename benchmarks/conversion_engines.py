"""Post-training int8 by our road and by the two converters it stands on; and each mode's parity.

    python benchmarks/conversion_engines.py --networks resnet8 mobilenet_v1_025

Every way gets the same float network and the same calibration images. `parity` says for each mode
that LiteRT executes how many images get the label of the Keras simulation.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from bare_converter import full_int8
from cifar10_data import load, source
from results import package_versions, provenance, table, write_section
from training import baseline, versions

import keras_compress as kc

PROFILES = {
    "int8": ("generic_int8", 8),
    "int8, int4 weights": ("android_cpu", 4),
    "int16 activations, int8 weights": ("generic_int16x8", 8),
    "int8 weights, dynamic range": ("dynamic_range", 8),
    "int4 weights, dynamic range": ("dynamic_range", 4),
}
BATCH = 250


def fixed_batch(model):
    """Return a copy that takes one image at a time, as both converters are used."""
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    copy = keras.models.clone_model(model, input_tensors=image)
    copy.set_weights(model.get_weights())
    return copy


def by_tensorflow(model, images):
    """Convert with `tf.lite.TFLiteConverter`, one image at a time."""
    return full_int8(fixed_batch(model), images)


def by_quantizer(model, images, bits=8):
    """Convert with `ai-edge-quantizer`'s own calibration, recipe static_wi8_ai8.

    Args:
        model: The float model.
        images: Calibration images.
        bits: Width of the weights, in place of the recipe's 8.
    """
    from ai_edge_quantizer import quantizer, recipe

    content = tf.lite.TFLiteConverter.from_keras_model(fixed_batch(model)).convert()
    rules = recipe.static_wi8_ai8()
    for rule in rules:
        rule["op_config"]["weight_tensor_config"]["num_bits"] = bits
    own = quantizer.Quantizer(bytearray(content), rules)
    (name,) = tf.lite.Interpreter(model_content=content).get_signature_list()["serving_default"][
        "inputs"
    ]
    found = own.calibrate({"serving_default": [{name: image[None]} for image in images]})
    return bytes(own.quantize(found).quantized_model)


def by_road(model, images, method, engine):
    """Compress, calibrate and convert."""
    compressed = kc.compress(model, quantization=kc.Quantization(profile="generic_int8"))
    kc.calibrate(compressed, images, method=method)
    return kc.convert(compressed, "generic_int8", engine=engine).content


def ways(model, images):
    """Name each way to int8 and the function that goes it."""
    yield "tf.lite.TFLiteConverter", lambda: by_tensorflow(model, images)
    yield "ai-edge-quantizer", lambda: by_quantizer(model, images)
    for engine in ("tensorflow", "litert"):
        yield (
            f"kc.convert, {engine}",
            lambda engine=engine: (
                kc.convert(model, representative_dataset=images, engine=engine).content
            ),
        )
        for method in ("min_max", "mse"):
            yield (
                f"kc.calibrate ({method}), {engine}",
                lambda method=method, engine=engine: by_road(model, images, method, engine),
            )


def compare(name, model, images, x, y):
    """Return a row of figures for each way."""
    rows = []
    for way, convert in ways(model, images):
        content = convert()
        result = kc.evaluate(content, x, y, baseline=model)
        rows.append(
            {
                "network": name,
                "way": way,
                "accuracy %": round(100 * result.model.accuracy, 2),
                "points from float": round(
                    100 * (result.model.accuracy - result.baseline.accuracy), 2
                ),
                "same label as float %": round(100 * result.label_agreement, 2),
                "output SQNR dB": round(result.output_error["sqnr_db"], 1),
                "bytes": len(content),
            }
        )
        print(rows[-1], flush=True)
    return rows


def agreement(simulated, converted, x):
    """Percent of images with the label of the Keras model."""
    labels = simulated.predict(x, batch_size=BATCH, verbose=0).argmax(axis=1)
    return round(100 * kc.evaluate(converted, x, labels).model.accuracy, 2)


def parity(name, model, images, x):
    """Return a row for each mode and engine."""
    rows = []
    for engine in ("tensorflow", "litert"):
        for mode, (profile, bits) in PROFILES.items():
            quantization = kc.Quantization(profile=profile, weight_bits=bits)
            simulated = kc.calibrate(kc.compress(model, quantization=quantization), images)
            converted = kc.convert(simulated, profile, images, engine=engine)
            rows.append((mode, engine, agreement(simulated, converted, x), len(converted)))
        half = keras.models.clone_model(model)
        half.set_weights([np.float32(np.float16(w)) for w in model.get_weights()])
        converted = kc.convert(model, "float16", engine=engine)
        rows.append(("float16", engine, agreement(half, converted, x), len(converted)))
    columns = ("mode", "engine", "same label as in Keras %", "bytes")
    rows = [{"network": name, **dict(zip(columns, row, strict=True))} for row in rows]
    print(*rows, sep="\n", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet8", "mobilenet_v1_025"])
    parser.add_argument("--test_images", type=int, default=5000)
    parser.add_argument("--calibration_images", type=int, default=200)
    options = parser.parse_args()
    x, y = load("test", options.test_images)
    images, _ = load("train", options.calibration_images)
    compared, agreed, trained = [], [], []
    for name in options.networks:
        model, record = baseline(name)
        trained.append(f"{name} {record['epochs']} epochs, seed {record['seed']}")
        compared += compare(name, model, images, x, y)
        agreed += parity(name, model, images, x)

    packages = package_versions("ai-edge-litert", "ai-edge-quantizer")
    write_section(
        "Post-training int8: our road beside the converters under it",
        provenance(
            {**versions(), **packages},
            data=f"{source()}, {len(x)} test images, the first {len(images)} training images "
            "for calibration",
            baselines="; ".join(trained),
            runtime="LiteRT with XNNPACK",
        ),
        table(compared),
        "Each mode against the Keras model that simulates it:",
        table(agreed),
    )


if __name__ == "__main__":
    main()
