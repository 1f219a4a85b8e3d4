"""Inputs and outputs have the types that were asked for."""

from keras_compress.converters.checks.base import Check, EmittedFile
from keras_compress.support.findings import Finding


class IoTypes(Check):
    """Inputs and outputs have the types asked for, with a scale where they are quantized.

    Inputs and outputs that are integers in the Keras model itself (token ids, an argmax) have
    no scale and keep their type.
    """

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return one finding for each input or output of another type."""
        options, model = emitted.options, emitted.model
        return [
            *_wrong(model.inputs, options.input_type, "input"),
            *_wrong(model.outputs, options.output_type, "output"),
        ]


def _wrong(tensors, promised, role):
    for tensor in tensors:
        if not tensor.scales.size and not tensor.dtype.is_float:
            continue
        if tensor.dtype != promised:
            yield Finding(
                code=f"{role}_type",
                message=f"The {role} {tensor.name!r} is {tensor.dtype}, not {promised}.",
                fix="Check that the representative dataset reaches it.",
            )
        elif not tensor.dtype.is_float and tensor.scales.size != 1:
            yield Finding(
                code=f"{role}_type",
                message=f"The {role} {tensor.name!r} has {tensor.scales.size} scales, not one.",
            )
