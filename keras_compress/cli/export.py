"""Write a .tflite file as C++ source, for Android, through Vela, or compressed for TFLite Micro.

`--format c` writes C++ source, `android` the file with metadata and labels, `vela` the file that
Arm's compiler makes of it, `micro` the file with its weights compressed for TFLite Micro. The
exit code is 1 when the file does not run on the profile's target.
"""

from pathlib import Path

from absl import flags

from keras_compress.cli.output import answer, define_json
from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.support import regular_files

EXAMPLE = "keras-compress export model.tflite cortex_m4 --format=c --out=firmware"


def define(values):
    """Define the verb's flags."""
    text = flags.DEFINE_string
    text("model", None, "The .tflite file.", required=True, flag_values=values)
    flags.DEFINE_enum(
        "format", None, list(_WRITERS), "What to write.", required=True, flag_values=values
    )
    text("profile", None, "Target: a name or a .toml file.", required=True, flag_values=values)
    text("out", None, "Folder to write into.", required=True, flag_values=values)
    text("name", "model", "Name of the files and of the C++ namespace.", flag_values=values)
    text("labels", None, "Text file with one class per line (android).", flag_values=values)
    flags.DEFINE_list("mean", None, "Mean of pixels, float inputs (android).", flag_values=values)
    flags.DEFINE_list("std", None, "What pixels are divided by (android).", flag_values=values)
    define_json(values)


def execute(values):
    """Run the verb."""
    import keras_compress as kc

    verdict = kc.check(values.model, values.profile)
    if not verdict.runs:
        raise ConversionError(
            f"The file does not run on {values.profile}, so nothing was written: "
            f"{verdict.findings[0]} See all: keras-compress check.",
            verdict.findings,
        )
    result, paths = _WRITERS[values.format](values)
    answer(result, values)
    for path in paths:
        print(f"  {path}")
    return 0


def _write_c(values):
    from keras_compress.exporting.micro.firmware import build_firmware

    firmware = build_firmware(values.model, values.name)
    return firmware, firmware.save(values.out)


def _write_micro(values):
    from keras_compress.exporting.micro.compressed_weights import compress_weights

    compressed = compress_weights(values.model)
    return compressed, [compressed.save(_path(values, ""))]


def _write_vela(values):
    from keras_compress.exporting.vela import compile_model

    compiled = compile_model(values.model, values.profile)
    return compiled, [compiled.save(_path(values, "_vela"))]


def _write_android(values):
    from keras_compress.exporting.android import add_metadata

    packed = add_metadata(
        values.model,
        labels=_labels(values.labels),
        mean=_numbers(values.mean, "mean"),
        std=_numbers(values.std, "std"),
        name=values.name,
    )
    return packed, [packed.save(_path(values, ""))]


def _path(values, ending):
    return Path(values.out) / f"{values.name}{ending}.tflite"


def _labels(path):
    if not path:
        return ()
    regular_files.check(path)
    return Path(path).read_text(encoding="utf-8").splitlines()


def _numbers(texts, name):
    if texts is None:
        return None
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise InvalidArgumentError(
            f"--{name} takes a number, or three with commas between. Received: {','.join(texts)}"
        ) from None


_WRITERS = {
    "c": _write_c,
    "android": _write_android,
    "vela": _write_vela,
    "micro": _write_micro,
}
