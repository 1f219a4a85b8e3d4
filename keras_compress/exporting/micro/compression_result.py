"""The result of compressing the weights of a file, tensor by tensor."""

import dataclasses
import html
from pathlib import Path

from keras_compress.support.files import write_atomically
from keras_compress.support.tables import html_table, text_table
from keras_compress.support.types import Json, StrPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorCompression:
    """How one weight tensor is stored, and how many bytes each encoding takes.

    Args:
        layer: The Keras layer if known, else the tensor's name.
        operator: The operator that reads it.
        shape: Its dimensions.
        sparsity: Fraction of its weights that are zero.
        distinct: Number of distinct values in the tensor, or in its channel with the most.
        dense_bytes: Bytes of the plain integers.
        encoded_bytes: Bytes by name of the encoding; `None` if it cannot hold the tensor.
        chosen: Name of the encoding in the file, or `"dense"`.
        entropy_bytes: Zero-order entropy of the integers.
    """

    layer: str
    operator: str
    shape: tuple[int, ...]
    sparsity: float
    distinct: int
    dense_bytes: int
    encoded_bytes: dict[str, int | None]
    chosen: str
    entropy_bytes: float

    @property
    def bytes(self) -> int:
        """Bytes that the tensor takes in the file, without the graph around it."""
        encoded = self.encoded_bytes.get(self.chosen)
        return self.dense_bytes if encoded is None else encoded

    def to_json(self) -> Json:
        """Return the fields as a dictionary that `json.dumps` takes."""
        return {**dataclasses.asdict(self), "shape": list(self.shape), "bytes": self.bytes}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressedWeights:
    """A file whose weights TFLite Micro decodes as it runs.

    Its outputs were compared with those of the dense file, integer by integer. LiteRT and other
    runtimes cannot run it.

    Args:
        content: The file's bytes.
        dense_bytes: Size of the original file.
        tensors: One `TensorCompression` for each weight tensor.
        samples: Number of samples on which both files gave the same integers.
        arena: Bytes of TFLite Micro's arena with this file: `total_bytes`, `head_bytes`,
            `tail_bytes`. A 64-bit host inflates the tail.
        dense_arena: The same with the dense file.
        runtime: Version of TFLite Micro that ran both files.
    """

    content: bytes = dataclasses.field(repr=False)
    dense_bytes: int
    tensors: tuple[TensorCompression, ...]
    samples: int
    arena: dict[str, int]
    dense_arena: dict[str, int]
    runtime: str

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return len(self.content)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as stored, including tables."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def entropy_bytes(self) -> float:
        """Sum of the zero-order entropies of the weight tensors."""
        return sum(tensor.entropy_bytes for tensor in self.tensors)

    @property
    def other_bytes(self) -> int:
        """Bytes of everything but the weights: graph, scales, biases, headers."""
        return self.bytes - self.weight_bytes

    def save(self, path: StrPath) -> Path:
        """Write the file; return its path."""
        return write_atomically(path, self.content)

    def to_json(self) -> Json:
        """Return all but the file as a dictionary that `json.dumps` takes."""
        return {
            "bytes": self.bytes,
            "dense_bytes": self.dense_bytes,
            "weight_bytes": self.weight_bytes,
            "entropy_bytes": self.entropy_bytes,
            "other_bytes": self.other_bytes,
            "samples": self.samples,
            "arena": self.arena,
            "dense_arena": self.dense_arena,
            "runtime": self.runtime,
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }

    def __str__(self):
        return "\n".join([*_summary(self), "", text_table(_table(self))])

    def _repr_html_(self):
        header, *rows = _table(self)
        summary = "".join(f"<li>{html.escape(line)}</li>" for line in _summary(self))
        return f"<ul>{summary}</ul>{html_table(header, rows)}"


def _summary(result):
    yield (
        f"{result.bytes:,} bytes, {result.bytes / result.dense_bytes:.3f} of the dense file's "
        f"{result.dense_bytes:,}; same integers on {result.samples} samples in TFLite Micro"
    )
    yield (
        f"weights {result.weight_bytes:,} bytes (zero-order entropy {result.entropy_bytes:,.0f}), "
        f"all else {result.other_bytes:,} bytes"
    )
    before, after = result.dense_arena, result.arena
    yield (
        f"arena {after['total_bytes']:,} bytes (head {after['head_bytes']:,}, tail "
        f"{after['tail_bytes']:,}), {after['total_bytes'] - before['total_bytes']:+,} against "
        "the dense file"
    )


def _table(result):
    names = list(result.tensors[0].encoded_bytes) if result.tensors else []
    headings = [name.replace("_", " ") for name in names]
    yield ("layer", "zeros", "distinct", "dense", *headings, "entropy", "stored as")
    for tensor in result.tensors:
        sizes = (tensor.encoded_bytes[name] for name in names)
        yield (
            tensor.layer,
            f"{tensor.sparsity:.1%}",
            str(tensor.distinct),
            f"{tensor.dense_bytes:,}",
            *("-" if size is None else f"{size:,}" for size in sizes),
            f"{tensor.entropy_bytes:,.0f}",
            tensor.chosen.replace("_", " "),
        )
