"""List the targets.

Needs neither TensorFlow nor Keras.
"""

from keras_compress.cli.output import define_json, write_json


def define(values):
    """Define the verb's flags."""
    define_json(values)


def execute(values):
    """Run the verb."""
    from keras_compress.edge_profiles import profile

    found = [profile.get(name) for name in profile.profiles()]
    width = max(len(target.name) for target in found)
    for target in found:
        print(f"{target.name:{width}}  {target.title}")
    if values.json:
        write_json(values.json, [target.to_json() for target in found])
    return 0
