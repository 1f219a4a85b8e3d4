"""List the targets.

Needs neither TensorFlow nor Keras.
"""

from keras_compress.cli.output import define_json, show, write_json

EXAMPLE = "keras-compress profiles"


def define(values):
    """Define the verb's flags."""
    define_json(values)


def execute(values):
    """Run the verb."""
    from keras_compress.edge_profiles import profile
    from keras_compress.support.tables import text_table

    targets = [profile.get(name) for name in profile.profiles()]
    show(text_table([(target.name, target.title) for target in targets], alignment="<"), values)
    if values.json:
        write_json(values.json, [target.to_json() for target in targets])
    return 0
