"""Conversion by TensorFlow's own converter, in a child process."""

import json
import os
import pathlib
import re
import tempfile
from collections.abc import Callable

import numpy as np

from keras_compress.converters.engines import _converter_process
from keras_compress.converters.engines.base import Engine
from keras_compress.converters.export import ExportedModel
from keras_compress.converters.options import ConversionOptions
from keras_compress.data.representative_dataset import RepresentativeDataset
from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.support import processes
from keras_compress.tflite import flatbuffer
from keras_compress.tflite._reader import schema
from keras_compress.tflite.layer_names import LayerNames

_TAIL_LINES = 12
_MOST_CHARACTERS = 300
_CONTRADICTION = "violate the same scale constraint"
_NO_OPERATOR = "neither a custom op nor a flex op"
# In MLIR's notation: loc(...): 'tfl.reshape' op ...: !quant.uniform<...> vs. !quant.uniform<...>
_PLACE = re.compile(r"^loc\(.*\): (?=')")
_OPERATION = re.compile(r"'tfl\.(\w+)' op")
_TYPES = re.compile(r"!quant\.uniform<[^>]*>(?: vs\. )?")


class Tensorflow(Engine):
    """Runs `tf.lite.TFLiteConverter` in a child process.

    The converter can crash its process with a segmentation fault (rolled recurrent layers), which
    no `try` can catch; in a child process it becomes an error that names the layer.

    Args:
        timeout_s: Seconds after which a conversion is given up. Default: an hour.

    Raises:
        InvalidArgumentError: The timeout is not above 0.

    Example:
        >>> kc.convert(model, engine=Tensorflow(timeout_s=600))  # doctest: +SKIP
    """

    def __init__(self, timeout_s=3600):
        if not timeout_s > 0:
            raise InvalidArgumentError(f"timeout_s must be above 0. Received: {timeout_s!r}")
        self.timeout_s = timeout_s

    def convert(
        self,
        exported: ExportedModel,
        calibration: RepresentativeDataset | None,
        options: ConversionOptions,
        progress: Callable[[int, int], None],
    ) -> bytes:
        """Convert a model; see `Engine.convert`."""
        # A repeated conversion must not reuse the folder of the attempt before it.
        job = pathlib.Path(tempfile.mkdtemp(prefix="job_", dir=os.path.dirname(exported.path)))
        _write_job(job, exported, calibration, options)
        outcome = _converter_process.run(job, self.timeout_s, lambda: progress(*_count(job)))
        progress(*_count(job))
        if outcome.exit_code == 0:
            names = [spec.name for spec in exported.inputs]
            return reorder((job / "model.tflite").read_bytes(), names, exported.outputs)
        raise _Failure(job, exported, outcome).error(self.timeout_s)


def reorder(content, inputs, outputs):
    """Put the inputs and outputs of the first subgraph in the given order of signature names.

    TensorFlow's converter lists inputs in alphabetical order and outputs in an order of its own,
    so that `interpreter.get_output_details()[0]` need not be the model's first output. Only the
    two lists of indices are rewritten; no byte moves.

    Args:
        content: The bytes of a TFLite file with one signature.
        inputs: Names of the inputs in the signature, in the new order.
        outputs: Names of the outputs, likewise.

    Returns:
        The bytes of the reordered file.
    """
    content = bytearray(content)
    model = schema().Model.GetRootAs(content, 0)
    graph, signature = model.Subgraphs(0), model.SignatureDefs(0)
    for names, indices, signature_entry in (
        (inputs, graph.InputsAsNumpy(), signature.Inputs),
        (outputs, graph.OutputsAsNumpy(), signature.Outputs),
    ):
        entries = (signature_entry(position) for position in range(len(names)))
        index = {entry.Name().decode(): entry.TensorIndex() for entry in entries}
        indices[:] = [index[name] for name in names]
    return bytes(content)


def samples(exported, calibration):
    """Return the calibration samples of each input.

    TensorFlow's converter needs samples even if the graph has every range; then zeros will do.

    Args:
        exported: The `ExportedModel`.
        calibration: The `RepresentativeDataset`, or `None` if training has learned all ranges.
    """
    if calibration is not None:
        return calibration.arrays
    return {spec.name: np.zeros((1, *spec.shape), spec.dtype) for spec in exported.inputs}


def _write_job(job, exported, calibration, options):
    files = {}
    if options.is_quantized:
        for number, (name, array) in enumerate(samples(exported, calibration).items()):
            files[name] = f"calibration_{number}.npy"
            np.save(job / files[name], array)
    description = {
        "saved_model": exported.path,
        "calibration": files,
        "mode": options.mode,
        "input_type": options.input_type,
        "output_type": options.output_type,
        "per_channel": options.per_channel,
        "per_channel_dense": options.per_channel_dense,
        "allow_float": bool(options.allow_float),
        "batch_size": options.batch_size,
    }
    (job / "job.json").write_text(json.dumps(description))


def _count(job):
    """Read from the job's folder how many samples are calibrated, and the total."""
    try:
        done, total = (job / "progress").read_text().split()
        return int(done), int(total)
    except (OSError, ValueError):
        return 0, 0


class _Failure:
    """Turns the files that a failed worker left behind into an error."""

    def __init__(self, job, exported, outcome):
        self._job, self._exported, self._outcome = job, exported, outcome

    def error(self, timeout_s):
        """Return a `ConversionError` that explains the failure."""
        if self._outcome.timed_out:
            return ConversionError(
                f"The conversion took longer than {timeout_s:g} s and was given up "
                f"{self._stage()}. Use fewer calibration_samples, or give it more time: "
                "engine=Tensorflow(timeout_s=...)."
            )
        failure = self._read("failure.json")
        if failure:
            return self._refusal_error(**json.loads(failure))
        return self._crash_error(self._outcome.exit_code)

    def _crash_error(self, exit_code):
        reason = processes.exit_reason(exit_code)
        message = f"TensorFlow's converter crashed ({reason}) {self._stage()}."
        loops = self._exported.loops
        if loops and exit_code < 0:
            message += (
                f" It cannot calibrate loops, and {_layers(loops)} runs in one: build recurrent "
                "layers with unroll=True (the weights stay the same), or convert with "
                "profile='float32'."
            )
            return ConversionError(message)
        return ConversionError(message + self._output_tail())

    def _refusal_error(self, kind, message):
        if kind == "MemoryError":
            return ConversionError(f"The converter ran out of memory {self._stage()}.")
        # The converter logs some errors instead of raising them with their text.
        message = message.strip() or _last_error(self._outcome.output)
        layers = self._layers_named_in(message) or self._layers_of_operators_in(message)
        place = f" because of {_layers(layers)}" if layers else ""
        advice = ""
        if _CONTRADICTION in message:
            advice = (
                " An operator there cannot keep the ranges that training learned: convert "
                "kc.strip(model) with representative_dataset=samples."
            )
        elif _NO_OPERATOR in message:
            advice = (
                " TFLite has no such operator: build the layer from other operations of keras.ops, "
                "or leave it out of the model and compute it in your own code."
            )
        elif "16x8" in message:
            advice = (
                " Replace these operators, use a profile with int8 activations, or let them "
                f"stay in float: allow_float={layers or ('ELU',)!r}."
            )
        return ConversionError(
            f"TensorFlow's converter refused the model{place}: {_sentence(message)}{advice}"
        )

    def _layers_named_in(self, message):
        """Return the layers whose scopes appear in a message of the converter."""
        scopes = self._exported.scopes.items()
        named = [layer for scope, layer in scopes if re.search(rf"\b{re.escape(scope)}/", message)]
        return tuple(dict.fromkeys(named))

    def _layers_of_operators_in(self, message):
        """Return the layers of the operators that a message names, as the float file tells."""
        path = self._job / "float.tflite"
        if not path.exists():
            return ()
        model = flatbuffer.read(path)
        layers = LayerNames(model.subgraphs[0], self._exported.scopes, self._exported.output_layers)
        named = [layers.first(op) for op in model.operators if f"'{op.name}'" in message]
        return tuple(dict.fromkeys(layer for layer in named if layer is not None))

    def _stage(self):
        return f"while {self._read('stage') or 'starting'}"

    def _output_tail(self):
        lines = processes.last_lines(self._outcome.output, _TAIL_LINES)
        return "\n".join(["\nIts last output:", *lines]) if lines else ""

    def _read(self, name):
        try:
            return (self._job / name).read_text(errors="replace")
        except OSError:
            return ""


def _layers(names):
    return f"layer{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def _last_error(output):
    """Return the last line of a process's output that tells an error, or an empty string."""
    lines = [line for line in output.splitlines() if "error: " in line]
    return lines[-1] if lines else ""


def _sentence(message):
    """Return what a message of the converter says, without places and types in MLIR's notation."""
    lines = [line for line in message.splitlines() if "error: " in line]
    text = lines[0].split("error: ", 1)[1] if lines else " ".join(message.split())
    text = _PLACE.sub("", text) if lines else text
    text = _TYPES.sub("", _OPERATION.sub(lambda match: match[1].upper(), text)).strip(" :")
    if not text:
        return "it gave no reason."
    text = text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " …"
    return text if text.endswith((".", "…")) else f"{text}."
