"""Show what a .tflite file holds: tensors, types, scales, zeros.

Needs neither TensorFlow nor Keras.
"""

from absl import flags

from keras_compress.cli.output import answer, define_json

EXAMPLE = "keras-compress inspect model.tflite"


def define(values):
    """Define the verb's flags."""
    flags.DEFINE_string("model", None, "The .tflite file.", required=True, flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    from keras_compress.tflite.inspection import inspect

    answer(inspect(values.model), values)
    return 0
