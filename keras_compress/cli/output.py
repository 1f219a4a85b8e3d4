"""How verbs answer: results to stdout, JSON to a file."""

import json

from absl import flags

from keras_compress.support.files import write_atomically


def define_json(values):
    """Define the flag `--json`.

    Args:
        values: `absl.flags.FlagValues` of the verb.
    """
    flags.DEFINE_string("json", None, "File for the result as JSON.", flag_values=values)


def answer(result, values):
    """Print a result and, if asked for, write its JSON.

    Args:
        result: An object with `__str__` and `to_json()`.
        values: Parsed flags with `json`.
    """
    print(result)
    if values.json:
        write_json(values.json, result.to_json())


def write_json(path, content):
    """Write plain values as a JSON file.

    Args:
        path: The file.
        content: JSON text, or dicts, lists, strings and numbers.
    """
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    write_atomically(path, text + "\n")
