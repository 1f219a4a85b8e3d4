"""Tell whether a .tflite file runs on a target, and what to change if not.

Needs neither TensorFlow nor Keras. The exit code is 1 when the file does not run there.
"""

from absl import flags

from keras_compress.cli.output import answer, define_json

EXAMPLE = "keras-compress check model.tflite cortex_m4"


def define(values):
    """Define the verb's flags."""
    flags.DEFINE_string("model", None, "The .tflite file.", required=True, flag_values=values)
    flags.DEFINE_string(
        "profile", None, "Target: a name or a .toml file.", required=True, flag_values=values
    )
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc

    verdict = kc.check(values.model, values.profile)
    answer(verdict, values)
    return 1 if verdict.verdict == "does_not_run" else 0
