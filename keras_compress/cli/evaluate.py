"""Run a .tflite file over data and compare it with the float baseline.

With a .tflite baseline it needs neither TensorFlow nor Keras.
"""

from absl import flags

from keras_compress.cli.models import load_keras
from keras_compress.cli.output import answer, define_json, show

EXAMPLE = "keras-compress evaluate model.tflite --data=test.npz --baseline=model.keras"


def define(values):
    """Define the verb's flags."""
    text = flags.DEFINE_string
    text("model", None, "The .tflite file.", required=True, flag_values=values)
    text("baseline", None, "Float model: .keras, .h5, SavedModel, .tflite.", flag_values=values)
    text(
        "data",
        None,
        "An .npz with x (or inputs by name) and y, or a folder of images.",
        required=True,
        flag_values=values,
    )
    text("profile", None, "Also check the file for this target.", flag_values=values)
    text("report", None, "File for the report, .html, .json or .txt.", flag_values=values)
    flags.DEFINE_float(
        "time_limit",
        600.0,
        "Seconds that the file may show no progress; it runs in a process of its own.",
        lower_bound=0.001,
        flag_values=values,
    )
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc

    limits = kc.Isolation(seconds=values.time_limit)
    baseline = _baseline(values.baseline)
    result = kc.evaluate(values.model, values.data, baseline=baseline, untrusted=limits)
    answer(result, values)
    verdict = None
    if values.profile:
        verdict = kc.check(values.model, values.profile)
        show(verdict, values)
    if values.report:
        targets = [values.profile] if values.profile else ()
        kc.report(result, model=values.model, targets=targets).save(values.report)
    return 1 if verdict is not None and verdict.verdict == "does_not_run" else 0


def _baseline(path):
    if path is None or path.endswith(".tflite"):
        return path
    return load_keras(path)
