"""Train, prune, quantize, convert and evaluate a small network on real data.

Writes model.tflite, baseline.tflite, report.json and report.html.
"""

from pathlib import Path

from absl import flags, logging

from keras_compress.cli import datasets
from keras_compress.cli.models import import_keras
from keras_compress.cli.output import write_json

SPARSITY = 0.75
BATCH_SIZE = 64


EXAMPLE = "keras-compress demo --out=demo_output"


def define(values):
    """Define the verb's flags."""
    flags.DEFINE_string("out", "demo_output", "Folder for the results.", flag_values=values)
    flags.DEFINE_string("profile", "cortex_m4", "Target.", flag_values=values)
    flags.DEFINE_enum("dataset", "digits", datasets.NAMES, "Data set.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Seed of all random numbers.", flag_values=values)


def execute(values):
    """Run the verb."""
    from keras_compress.edge_profiles import profile

    profile.get(values.profile)
    folder = Path(values.out)
    folder.mkdir(parents=True, exist_ok=True)
    data = datasets.load(values.dataset)
    keras = import_keras()

    import keras_compress as kc

    keras.utils.set_random_seed(values.seed)
    epochs = 30 if values.dataset == "digits" else 6
    logging.info("1/4 Training the float baseline on %s", data.name)
    baseline = train_baseline(data, epochs)
    logging.info("2/4 Pruning to %d %% and quantizing in a second fit", 100 * SPARSITY)
    model = train_compressed(baseline, data, epochs, values.profile)
    logging.info("3/4 Converting for %s", values.profile)
    converted = kc.convert(model, profile=values.profile, representative_dataset=data.x_train[:200])
    float_file = kc.convert(baseline, profile="float32")
    converted.save(folder / "model.tflite")
    float_file.save(folder / "baseline.tflite")
    logging.info("4/4 Evaluating both files on %d test images", len(data.x_test))
    result = kc.evaluate(converted, data.x_test, data.y_test, baseline=float_file)
    print(result)
    write_json(folder / "report.json", result.to_json())
    report = kc.report(result, model=converted, targets=[values.profile])
    path = report.save(folder / "report.html")
    logging.info("The report is in %s", path)
    return 0


def network(shape, classes):
    """Build the demo's network.

    Args:
        shape: Shape of an image.
        classes: Number of classes.

    Returns:
        A `keras.Model`, not compiled.
    """
    import keras
    from keras import layers

    inputs = keras.Input(shape, name="image")
    x = inputs
    for number, filters in enumerate((32, 64, 96)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.MaxPooling2D(name=f"pool{number}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    outputs = layers.Dense(classes, activation="softmax", name="classes")(x)
    return keras.Model(inputs, outputs, name="demo")


def train_baseline(data, epochs):
    """Train the float network.

    Args:
        data: A `Dataset`.
        epochs: Number of epochs.

    Returns:
        The trained `keras.Model`.
    """
    import keras

    model = network(data.x_train.shape[1:], data.classes)
    steps = epochs * _steps(data)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(data.x_train, data.y_train, BATCH_SIZE, epochs, verbose=2)
    return model


def train_compressed(baseline, data, epochs, profile):
    """Prune and quantize a copy of the baseline in one `fit`.

    Args:
        baseline: The trained float model; it is not changed.
        data: A `Dataset`.
        epochs: Number of epochs.
        profile: The target.

    Returns:
        The compressed `keras.Model`.
    """
    import keras

    import keras_compress as kc

    model = kc.compress(
        baseline, pruning=kc.Pruning(scope="global"), quantization=kc.Quantization(profile=profile)
    )
    steps = epochs * _steps(data)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    schedule = kc.PolynomialDecay(final_sparsity=SPARSITY, end_step=steps * 2 // 5, frequency=10)
    callbacks = [
        kc.PruningCallback(schedule),
        kc.QuantizationCallback(begin_step=steps // 2, freeze_step=steps * 3 // 4),
    ]
    model.fit(data.x_train, data.y_train, BATCH_SIZE, epochs, verbose=2, callbacks=callbacks)
    return model


def _steps(data):
    return -(-len(data.x_train) // BATCH_SIZE)
