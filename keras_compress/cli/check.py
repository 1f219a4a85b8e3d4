"""Tell whether a .tflite file, or a Keras model's, runs on a target, and what to change if not.

A file needs neither TensorFlow nor Keras. A Keras model is converted with made-up samples. The
exit code is 1 when the file does not run there, or the model does not convert.
"""

from absl import flags

from keras_compress.cli.output import answer, define_json

EXAMPLE = "keras-compress check model.tflite cortex_m4"


def define(values):
    """Define the verb's flags."""
    flags.DEFINE_string(
        "model",
        None,
        "A .tflite file, or a Keras model: .keras, .h5, SavedModel.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "profile", None, "Target: a name or a .toml file.", required=True, flag_values=values
    )
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc
    from keras_compress.converters.target_check import is_keras

    model = values.model
    if is_keras(model):
        from keras_compress.cli.models import load_keras

        model = load_keras(model)
    verdict = kc.check(model, values.profile)
    answer(verdict, values)
    return 1 if verdict.verdict == "does_not_run" else 0
