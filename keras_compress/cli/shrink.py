"""Remove channels from a Keras model, for a smaller and faster one to fine-tune."""

from absl import flags

from keras_compress.cli.models import load_keras
from keras_compress.cli.output import define_json, show, write_json
from keras_compress.errors import InvalidArgumentError
from keras_compress.support.files import whole_file

AMOUNTS = ("macs", "channels", "bytes")


EXAMPLE = "keras-compress shrink model.keras --macs=0.5 --output=small.keras"


def define(values):
    """Define the verb's flags."""
    text = flags.DEFINE_string
    text("model", None, "Keras model: .keras, .h5, SavedModel.", required=True, flag_values=values)
    text("output", None, "The .keras file to write.", required=True, flag_values=values)
    for amount in AMOUNTS:
        flags.DEFINE_float(
            amount,
            None,
            f"What may remain of the {amount}: a fraction, or a number above 1.",
            flag_values=values,
        )
    text("criterion", "l2_norm", "How channels are scored.", flag_values=values)
    text(
        "data",
        None,
        "An .npz with x and y, or a folder of images.",
        flag_values=values,
    )
    text("loss", None, "Keras loss, for criteria that take gradients.", flag_values=values)
    text("round_to", None, "Keep a multiple of this, or of a profile's.", flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    amounts = {name: values[name].value for name in AMOUNTS if values[name].value is not None}
    if len(amounts) != 1:
        raise InvalidArgumentError(
            "Pass one amount: --macs, --channels or --bytes. "
            f"Received: {', '.join(amounts) or 'none'}"
        )
    if not values.output.endswith(".keras"):
        raise InvalidArgumentError(f"--output must end in .keras. Received: {values.output}")
    import keras_compress as kc

    round_to = values.round_to
    smaller, report = kc.shrink(
        load_keras(values.model),
        **amounts,
        criterion=values.criterion,
        data=values.data,
        loss=values.loss,
        round_to=int(round_to) if round_to and round_to.isdigit() else round_to,
        return_report=True,
    )
    with whole_file(values.output) as aside:
        smaller.save(aside)
    show(report, values)
    if values.json:
        write_json(values.json, report.to_json())
    return 0
