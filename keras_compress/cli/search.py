"""Find the smallest, fastest compression of a Keras model that keeps to limits.

A search that was killed continues when it is started again with the same flags. The exit code is 1
when no model keeps to the limits; the nearest one is written anyway.
"""

from absl import flags

from keras_compress.cli.models import load_keras
from keras_compress.cli.output import answer, define_json

LIMITS = ("flash_bytes", "sram_bytes", "latency_ms", "macs")


EXAMPLE = "keras-compress search model.keras cortex_m4 --data=train.npz --budget=1800"


def define(values):
    """Define the verb's flags."""
    text, number = flags.DEFINE_string, flags.DEFINE_float
    text("model", None, "Float model: .keras, .h5, SavedModel.", required=True, flag_values=values)
    text(
        "data",
        None,
        "An .npz with x and y, or images.",
        required=True,
        flag_values=values,
    )
    text("validation", None, "The same; else a fifth of --data.", flag_values=values)
    text("profile", "generic_int8", "Target: a name or a .toml file.", flag_values=values)
    number(
        "max_accuracy_drop",
        0.01,
        "Most accuracy that may be lost; 0.01 is a point.",
        flag_values=values,
    )
    number("flash_bytes", None, "Most bytes of the file.", flag_values=values)
    number("sram_bytes", None, "Most bytes of working memory.", flag_values=values)
    number("latency_ms", None, "Most milliseconds of an inference.", flag_values=values)
    number("macs", None, "Most MACs: a fraction, or a number above 1.", flag_values=values)
    number("budget", 600, "Seconds that the search may take.", flag_values=values)
    flags.DEFINE_integer("trials", None, "Most recipes to try.", flag_values=values)
    flags.DEFINE_integer("epochs", 3, "Epochs of fine-tuning.", flag_values=values)
    flags.DEFINE_integer("generation", 6, "Recipes asked for together.", flag_values=values)
    flags.DEFINE_integer(
        "seed", 0, "Seed of the sampler and of every training.", flag_values=values
    )
    text("loss", "sparse_categorical_crossentropy", "A Keras loss.", flag_values=values)
    text("executor", "local", "Where trials run: local or ray.", flag_values=values)
    text("folder", "keras_compress_search", "Folder of the search.", flag_values=values)
    text("out", None, "Folder for the winning files. Default: --folder.", flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc
    from keras_compress.data.model_inputs import input_specs
    from keras_compress.data.splitting import split_data

    model = load_keras(values.model)
    train, validation = values.data, values.validation
    if not validation:
        train, validation = split_data(train, input_specs(model))
    limits = {name: getattr(values, name) for name in LIMITS}
    result = kc.search(
        model,
        train,
        validation,
        profile=values.profile,
        constraints=kc.Constraints(max_accuracy_drop=values.max_accuracy_drop, **limits),
        budget=values.budget,
        trials=values.trials,
        epochs=values.epochs,
        generation=values.generation,
        loss=values.loss,
        executor=values.executor,
        folder=values.folder,
        seed=values.seed,
    )
    answer(result, values)
    for path in result.save(values.out or values.folder):
        print(f"  {path}")
    return 0 if result.meets_constraints else 1
