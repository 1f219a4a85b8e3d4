"""A .tflite file for an Android app with MediaPipe Tasks: metadata and labels inside the file."""

import dataclasses
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.exporting.android_metadata import LABELS_FILE, ImageClassifierMetadata
from keras_compress.support.files import write_atomically
from keras_compress.support.types import Json, StrPath
from keras_compress.tflite import flatbuffer
from keras_compress.tflite._reader import schema
from keras_compress.tflite.editor import pack, unpack
from keras_compress.tflite.types import FileSource

_METADATA = "TFLITE_METADATA"
_TYPES = ("uint8", "float32")
_LARGEST_PIXEL = 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class AndroidModel:
    """An image classifier in the form that MediaPipe Tasks reads.

    Args:
        content: The file's bytes: a flatbuffer with metadata, followed by a zip of the labels.
        input_type: `"uint8"` or `"float32"`.
        classes: Length of the output.
        labels: Names of the classes, in the output's order; empty if none are packed.
        mean: Value subtracted from pixels of 0 .. 255 for a float input.
        std: Value that the difference is divided by.
    """

    content: bytes = dataclasses.field(repr=False)
    input_type: str
    classes: int
    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def save(self, path: StrPath) -> Path:
        """Write the file; return its path."""
        return write_atomically(path, self.content)

    def to_json(self) -> Json:
        """Return all but the file as a dictionary that `json.dumps` takes."""
        fields = dataclasses.asdict(self)
        return {"bytes": len(fields.pop("content")), **fields}

    def __str__(self):
        named = f"{len(self.labels)} labels" if self.labels else "no labels"
        return (
            f"Image classifier for MediaPipe Tasks: {len(self.content):,} bytes, "
            f"{self.input_type} input, {self.classes} classes, {named}"
        )


def add_metadata(
    model: FileSource,
    *,
    labels: Sequence[str] = (),
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    name: str = "",
    description: str = "",
) -> AndroidModel:
    """Add the metadata and labels that MediaPipe Tasks needs to an image classifier.

    A float input gets its normalization, (pixel - mean) / std with pixels of 0 .. 255; a uint8
    input takes raw pixels, and its scale in the file does the rest. Labels are packed as an
    uncompressed zip after the flatbuffer, which LiteRT ignores.

    Args:
        model: Path or bytes of a `.tflite`, or a `ConvertedModel`, with one uint8 or float32 input
            (1, height, width, 3) and one uint8 or float32 output (1, classes).
        labels: Names of the classes, in the output's order.
        mean: One number, or one per channel; required for a float input. Pixels divided by 255
            have mean 0 and std 255, pixels in -1 .. 1 have 127.5 for both.
        std: One number, or one per channel, like `mean`.
        name: Name of the model.
        description: What it does.

    Returns:
        An `AndroidModel`.

    Raises:
        InvalidArgumentError: The file is not an image classifier of these types, a float input
            has no normalization, or the labels are not one for each class.
        FlatbufferError: The source is not a readable TFLite file.

    Example:
        >>> from keras_compress.exporting.android import add_metadata
        >>> add_metadata("model.tflite", labels=["cat", "dog"]).save("app.tflite")  # doctest: +SKIP

    Source: TensorFlow Lite metadata schema, `metadata_schema.fbs`.
    """
    read = flatbuffer.read(model)
    source, classes = _image(read), _classes(read)
    names = _checked_labels(labels, classes)
    means, stds = _normalization(source, mean, std)
    about = ImageClassifierMetadata(
        name=name,
        description=description,
        mean=means,
        std=stds,
        input_range=_input_range(means, stds),
        labelled=bool(names),
    )
    content = _with_metadata(read.content, about.pack())
    return AndroidModel(
        content=_with_labels(content, names) if names else content,
        input_type=str(source.dtype),
        classes=classes,
        labels=names,
        mean=means,
        std=stds,
    )


def _image(read):
    if len(read.inputs) == 1:
        (source,) = read.inputs
        shape = source.shape
        if source.dtype in _TYPES and len(shape) == 4 and shape[0] == 1 and shape[3] == 3:
            return source
    raise InvalidArgumentError(
        "MediaPipe takes one image of shape (1, height, width, 3), uint8 or float32: convert with "
        f"input_type='uint8'. Received: {_described(read.inputs)}"
    )


def _classes(read):
    if len(read.outputs) == 1:
        (result,) = read.outputs
        if result.dtype in _TYPES and len(result.shape) == 2 and result.shape[0] == 1:
            return result.shape[1]
    raise InvalidArgumentError(
        "MediaPipe's image classifier has one output of shape (1, classes), uint8 or float32: "
        f"convert with output_type='uint8'. Received: {_described(read.outputs)}"
    )


def _described(tensors):
    return ", ".join(f"{list(tensor.shape)} of {tensor.dtype}" for tensor in tensors)


def _checked_labels(labels, classes):
    labels = tuple(map(str, labels))
    if labels and len(labels) != classes:
        raise InvalidArgumentError(
            "There must be one label for each class: with another number MediaPipe fails at the "
            f"first image. Received: {len(labels)} labels for {classes} classes"
        )
    invalid = [label for label in labels if not label.strip() or len(label.splitlines()) != 1]
    if invalid:
        raise InvalidArgumentError(f"A label must be one line of text. Received: {invalid[0]!r}")
    return labels


def _normalization(source, mean, std):
    if source.dtype != "float32":
        if mean is not None or std is not None:
            raise InvalidArgumentError(
                "mean and std belong to a float input; a uint8 input takes raw pixels. "
                f"Received: mean={mean!r}, std={std!r}"
            )
        return (), ()
    if mean is None or std is None:
        raise InvalidArgumentError(
            "A float input needs mean and std in units of pixels (0 .. 255): mean=0, std=255 for a "
            f"network that takes pixels / 255. Received: mean={mean!r}, std={std!r}"
        )
    mean, std = (tuple(map(float, np.atleast_1d(value))) for value in (mean, std))
    if len(mean) not in (1, 3) or len(std) != len(mean) or not all(value > 0 for value in std):
        raise InvalidArgumentError(
            "mean and std must be one number or one for each of three channels, std above 0. "
            f"Received: mean={mean}, std={std}"
        )
    return mean, std


def _input_range(mean, std):
    if not mean:
        return None
    pairs = list(zip(mean, std, strict=True))
    return min(-m / s for m, s in pairs), max((_LARGEST_PIXEL - m) / s for m, s in pairs)


def _with_metadata(content, metadata):
    model = unpack(content)
    kept = [entry for entry in model.metadata or () if entry.name != _METADATA.encode()]
    entry, buffer = schema().MetadataT(), schema().BufferT()
    entry.name, entry.buffer = _METADATA.encode(), len(model.buffers)
    buffer.data = np.frombuffer(metadata, np.uint8)
    model.buffers.append(buffer)
    model.metadata = [*kept, entry]
    return pack(model)


def _with_labels(content, labels):
    """Append the labels to the flatbuffer as an uncompressed zip, as MediaPipe expects."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "\n".join(labels) + "\n")
    return file.getvalue()
