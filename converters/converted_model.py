"""A converted model: the flatbuffer, and where it comes from."""

import dataclasses
import os
from pathlib import Path

from keras_compress.errors import InvalidArgumentError
from keras_compress.support.files import is_stream, write_atomically
from keras_compress.support.types import Json, StrPath
from keras_compress.tflite import flatbuffer, inspection
from keras_compress.tflite.layer_names import LayerNames

_ENDINGS = (".tflite", ".lite")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertedModel:
    """A TFLite file that was read back and keeps every promise.

    Args:
        content: The file's bytes.
        profile: Name of the profile that it was converted for.
        warnings: Warnings of the conversion, one sentence each.
        scopes: Name scope -> Keras layer name; leads from tensors to layers.
        output_layers: Names of the Keras layers that produce the outputs.
        rewritten: Name of a layer -> name of the rewrite that was applied to it.

    Example:
        >>> converted = kc.convert(model, representative_dataset=x)  # doctest: +SKIP
        >>> converted.save("model.tflite")  # doctest: +SKIP
    """

    content: bytes = dataclasses.field(repr=False)
    profile: str
    warnings: tuple[str, ...] = ()
    scopes: dict[str, str] | None = dataclasses.field(default=None, repr=False)
    output_layers: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    rewritten: dict[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False)

    def save(self, path: StrPath) -> Path:
        """Write the file; it appears under its name only once it is complete.

        Args:
            path: A path that ends in `.tflite`, a device or pipe, or `"-"` for standard output.
                Missing folders are not created.

        Returns:
            The path as a `pathlib.Path`.

        Raises:
            InvalidArgumentError: The path has another ending, is a folder, or lies in a folder
                that does not exist.
        """
        path = os.fspath(path)
        folder = os.path.dirname(path) or "."
        if os.path.isdir(path):
            problem = "a folder"
        elif not path.endswith(_ENDINGS) and not is_stream(path):
            problem = "another ending"
        elif not os.path.isdir(folder):
            problem = "a folder that does not exist"
        else:
            return write_atomically(path, self.content)
        raise InvalidArgumentError(
            f"A converted model is saved to a path that ends in .tflite. Received: {path!r} "
            f"({problem})"
        )

    def inspect(self) -> inspection.Inspection:
        """Return a summary of the file's contents, as `kc.inspect` does."""
        return inspection.inspect(self.content)

    def layer_names(self) -> LayerNames:
        """Return the `LayerNames` of the first subgraph."""
        graph = flatbuffer.read(self.content).subgraphs[0]
        return LayerNames(graph, self.scopes, self.output_layers)

    def to_json(self) -> Json:
        """Return the profile, the warnings and the result of `inspect`, for `json.dumps`."""
        inspected = self.inspect().to_json()
        warnings, rewritten = list(self.warnings), dict(self.rewritten)
        return {"profile": self.profile, "warnings": warnings, "rewritten": rewritten, **inspected}

    def __len__(self):
        return len(self.content)

    def __bytes__(self):
        return self.content

    def __str__(self):
        lines = [f"Converted for {self.profile}: {self.inspect()}"]
        lines += [f"Rewritten: {layer} ({name})" for layer, name in self.rewritten.items()]
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])

    def _repr_html_(self):
        return self.inspect()._repr_html_()
