"""The stages of the road that `kill_points.py` kills, on a network of a few hundred weights."""

import numpy as np

EPOCHS, STEPS, BATCH = 3, 4, 8


def data():
    rng = np.random.default_rng(0)
    x = rng.random((STEPS * BATCH, 6, 6, 2), np.float32)
    return x, rng.integers(0, 3, len(x))


def network():
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), name="image"),
            keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dropout(0.1, seed=3, name="drop"),
            keras.layers.Dense(3, name="head"),
        ]
    )


def compressed():
    import keras_compress as kc

    return kc.compress(network(), pruning=kc.Pruning(), quantization=kc.Quantization())


def save(model, path):
    from keras_compress.support.files import whole_file

    with whole_file(path) as aside:
        model.save(aside)


def save_weights(model, path):
    """Write all weights (masks, ranges and steps are among them) as an .npz."""
    from keras_compress.support.files import whole_file

    arrays = {
        f"{n:03} {w.path}".replace("/", "."): np.asarray(w) for n, w in enumerate(model.weights)
    }
    with whole_file(path) as aside:
        np.savez(aside, **arrays)


def fit(folder):
    import keras_compress as kc

    model, (x, y) = compressed(), data()
    model.compile("adam", _loss())
    schedule = kc.PolynomialDecay(final_sparsity=0.75, end_step=9, frequency=2)
    callbacks = [
        kc.PruningCallback(schedule),
        kc.QuantizationCallback(begin_step=3, freeze_step=10),
        kc.BackupAndRestore(folder / "backup"),
    ]
    options = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    model.fit(x, y, callbacks=callbacks, **options)
    save_weights(model, folder / "weights.npz")


def _loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def calibrate(folder):
    import keras_compress as kc

    model = compressed()
    kc.calibrate(model, data()[0])
    save_weights(model, folder / "weights.npz")
    save(model, folder / "calibrated.keras")


def convert(folder):
    import keras_compress as kc

    kc.convert(network(), representative_dataset=np.tile(data()[0], (4, 1, 1, 1))).save(
        folder / "model.tflite"
    )


def evaluate(folder):
    import keras_compress as kc

    result = kc.evaluate(folder / "given.tflite", *data(), latency_runs=5)
    report = kc.report(result, model=folder / "given.tflite", targets=["cortex_m4"])
    report.save(folder / "report.html")
    report.save(folder / "report.json")


def export(folder):
    from keras_compress.cli import main as cli

    given = f"--model={folder / 'given.tflite'}"
    for form in ("c", "micro"):
        words = ["export", given, f"--format={form}", "--profile=cortex_m4"]
        words += [f"--out={folder / form}", f"--json={folder / form}.json"]
        if cli.main(words):
            raise RuntimeError(f"export {form} failed")


def shrink(folder):
    from keras_compress.cli import main as cli

    words = ["shrink", f"--model={folder / 'given.keras'}", f"--output={folder / 'small.keras'}"]
    if cli.main([*words, "--channels=0.5", f"--json={folder / 'shrink.json'}"]):
        raise RuntimeError("shrink failed")


STAGES = {f.__name__: f for f in (fit, calibrate, convert, evaluate, export, shrink)}
