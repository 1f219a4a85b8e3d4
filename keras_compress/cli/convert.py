"""Convert a Keras model to a checked integer .tflite file for a target."""

from absl import flags

from keras_compress.cli.models import load_keras
from keras_compress.cli.output import answer, define_json
from keras_compress.errors import InvalidArgumentError

EXAMPLE = (
    "keras-compress convert model.keras cortex_m4 "
    "--representative_data=samples.npz --output=model.tflite"
)


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
    flags.DEFINE_multi_string(
        "input_shape",
        [],
        "Shape of a sample, for inputs of free size: 224,224,3; of several inputs, each by its "
        "name: image=224,224,3.",
        flag_values=values,
    )
    text("output", None, "The .tflite file to write.", required=True, flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    shapes = _input_shapes(values.input_shape)
    import keras_compress as kc

    data = values.representative_data
    model, profile = load_keras(values.model), values.profile
    if values.recipe:
        from keras_compress.searching.one_shot import compress_without_training

        recipe = kc.Recipe.of(values.recipe)
        model = compress_without_training(model, recipe, data)
        profile = recipe.profile
    converted = kc.convert(model, profile=profile, representative_dataset=data, input_shapes=shapes)
    converted.save(values.output)
    answer(converted, values)
    return 0


def _input_shapes(texts):
    """Return the shapes of --input_shape flags: by name, that of the only input, or `None`."""
    shapes = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            raise InvalidArgumentError(
                "--input_shape must be whole numbers with commas, such as 224,224,3 or "
                f"image=224,224,3. Received: {text}"
            ) from None
    if "" in shapes and len(shapes) > 1:
        raise InvalidArgumentError(
            "--input_shape of several inputs must begin with the name of each, such as "
            f"image=224,224,3. Received: {', '.join(texts)}"
        )
    return shapes.get("", shapes or None)
