"""How verbs answer: results to stdout, JSON to a file or, with `-`, alone to stdout."""

import json
import sys

from absl import flags

from keras_compress.support.files import write_atomically
from keras_compress.support.printable import printable


def define_json(values):
    """Define the flag `--json`.

    Args:
        values: `absl.flags.FlagValues` of the verb.
    """
    flags.DEFINE_string(
        "json", None, "File for the result as JSON; - is stdout.", flag_values=values
    )


def answer(result, values):
    """Print a result and, if asked for, write its JSON.

    Args:
        result: An object with `__str__` and `to_json()`.
        values: Parsed flags with `json`.
    """
    show(result, values)
    if values.json:
        write_json(values.json, result.to_json())


def show(text, values):
    """Print a text to stdout, or to stderr if stdout is for the JSON alone.

    Args:
        text: A string, or an object with `__str__`.
        values: Parsed flags with `json`.
    """
    text = printable(str(text), keep="\n\t")
    print(text, file=sys.stderr if values.json == "-" else sys.stdout)


def write_json(path, content):
    """Write plain values as a JSON file.

    Args:
        path: The file; `-` is stdout.
        content: JSON text, or dicts, lists, strings and numbers.
    """
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    write_atomically(path, text + "\n")
