"""Writes the metadata flatbuffer that MediaPipe Tasks reads from a .tflite file.

Positions of fields are those of the published schema `metadata_schema.fbs` (file identifier M001).
"""

import dataclasses

import flatbuffers

IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"

_MIN_PARSER_VERSION = "1.0.0"
_TENSOR_AXIS_LABELS = 2
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_NORMALIZATION_OPTIONS = 1
_RGB = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageClassifierMetadata:
    """The metadata of an image classifier for MediaPipe.

    Args:
        name: Name of the model.
        description: What it does.
        mean: Value subtracted from pixels of 0 .. 255, for float inputs; one, or one per channel.
        std: Value that the difference is divided by; one, or one per channel.
        input_range: Smallest and largest value of the network's input.
        labelled: Whether `labels.txt` is packed into the file.
    """

    name: str = ""
    description: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    input_range: tuple[float, float] | None = None
    labelled: bool = False

    def pack(self):
        """Return the flatbuffer's bytes."""
        return _Writer().model(self)


class _Writer:
    def __init__(self):
        self._builder = flatbuffers.Builder(512)

    def model(self, about):
        graph = self._table(10, {2: self._vector([self._input(about)])} | self._outputs(about))
        fields = {0: self._text(about.name), 1: self._text(about.description)}
        fields |= {3: self._vector([graph]), 7: self._text(_MIN_PARSER_VERSION)}
        self._builder.Finish(self._table(8, fields), IDENTIFIER)
        return bytes(self._builder.Output())

    def _input(self, about):
        image = self._union(_IMAGE_PROPERTIES, self._table(2, {}, {0: _RGB}), fields=3)
        fields = {0: self._text("image"), 3: image}
        if about.mean:
            options = self._table(2, {0: self._floats(about.mean), 1: self._floats(about.std)})
            fields[4] = self._vector([self._union(_NORMALIZATION_OPTIONS, options, fields=2)])
        if about.input_range is not None:
            least, largest = about.input_range
            fields[5] = self._table(2, {0: self._floats([largest]), 1: self._floats([least])})
        return self._table(7, fields)

    def _outputs(self, about):
        fields = {0: self._text("score")}
        fields[3] = self._union(_FEATURE_PROPERTIES, self._table(0, {}), fields=3)
        if about.labelled:
            file = self._table(5, {0: self._text(LABELS_FILE)}, {2: _TENSOR_AXIS_LABELS})
            fields[6] = self._vector([file])
        return {3: self._vector([self._table(7, fields)])}

    def _text(self, text):
        return self._builder.CreateString(text)

    def _floats(self, values):
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(float(value))
        return self._builder.EndVector()

    def _vector(self, tables):
        self._builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self._builder.PrependUOffsetTRelative(table)
        return self._builder.EndVector()

    def _union(self, kind, table, fields):
        """Write a table whose first two fields are a union's kind and its value."""
        return self._table(fields, {1: table}, {0: kind})

    def _table(self, size, offsets, small=()):
        """Write a table of `size` fields: position -> offset, and position -> small integer."""
        self._builder.StartObject(size)
        for position, offset in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(position, offset, 0)
        for position, value in dict(small).items():
            self._builder.PrependInt8Slot(position, value, 0)
        return self._builder.EndObject()
