"""Convert a Keras model to a checked integer .tflite file for a target."""

from absl import flags

from keras_compress.cli.models import load_keras
from keras_compress.cli.output import answer, define_json


def define(values):
    """Define the verb's flags."""
    text = flags.DEFINE_string
    text("model", None, "Keras model: .keras, .h5, SavedModel.", required=True, flag_values=values)
    text(
        "representative_data",
        None,
        "Samples as in training: .npz with x or inputs by name, .npy, or a folder of images.",
        required=True,
        flag_values=values,
    )
    text("profile", "generic_int8", "Target: a name or a .toml file.", flag_values=values)
    text("recipe", None, "Recipe, a .toml that search wrote.", flag_values=values)
    text("output", None, "The .tflite file to write.", required=True, flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc

    data = values.representative_data
    model, profile = load_keras(values.model), values.profile
    if values.recipe:
        from keras_compress.searching.one_shot import compress_without_training

        recipe = kc.Recipe.of(values.recipe)
        model = compress_without_training(model, recipe, data)
        profile = recipe.profile
    converted = kc.convert(model, profile=profile, representative_dataset=data)
    converted.save(values.output)
    answer(converted, values)
    return 0
