"""Say which layers of a .tflite file lose accuracy against the float model, and why."""

from absl import flags

from keras_compress.cli.models import load_keras
from keras_compress.cli.output import answer, define_json

EXAMPLE = "keras-compress analyze model.tflite --baseline=model.keras --data=samples.npz"


def define(values):
    """Define the verb's flags."""
    text = flags.DEFINE_string
    text("model", None, "The .tflite file.", required=True, flag_values=values)
    text(
        "baseline", None, "Float model: .keras, .h5, SavedModel.", required=True, flag_values=values
    )
    text(
        "data",
        None,
        "Samples as in use: .npz with x or inputs by name, .npy, or a folder of images.",
        required=True,
        flag_values=values,
    )
    text("nodes", None, "File for Model Explorer's node data, .json.", flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc

    analysis = kc.analyze(load_keras(values.baseline), values.model, values.data)
    answer(analysis, values)
    if values.nodes:
        analysis.save_model_explorer(values.nodes)
    return 0
