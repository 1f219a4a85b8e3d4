"""C++ source for a firmware with TFLite Micro: the model, its arena, operators and scales."""

import dataclasses
import functools
import importlib.resources
import math
import re
from pathlib import Path

import numpy as np

from keras_compress.errors import InvalidArgumentError, MissingPackageError
from keras_compress.evaluation.runtimes.base import TensorDetails, input_details, output_details
from keras_compress.exporting.micro.arena_size import ArenaSize, arena_size
from keras_compress.exporting.micro.operator_methods import operator_methods
from keras_compress.support.files import write_atomically
from keras_compress.support.types import Json, StrPath
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.types import FileSource

_TEMPLATES = {
    "{name}.h": "model.h.jinja",
    "{name}.cc": "model.cc.jinja",
    "{name}_operators.h": "model_operators.h.jinja",
}
_BYTES_A_LINE = 16
_CPP_TYPES = {
    "bool": "bool",
    "float32": "float",
    "float64": "double",
    **{name: f"std::{name}_t" for name in ("int8", "uint8", "int16", "uint16", "int32", "int64")},
}
# Names of small letters that C's headers or compilers define, mostly as macros.
_MACROS = """
alloca arm assert errno fpclassify i386 isfinite isgreater isinf isless isnan isnormal isunordered
linux main mips offsetof setjmp signbit stderr stdin stdout unix va_arg va_copy va_end va_start
"""
_CPP_KEYWORDS = """
alignas alignof and asm auto bool break case catch char class const constexpr continue decltype
default delete do double else enum explicit export extern false float for friend goto if inline
int internal long mutable namespace new noexcept not nullptr operator or private protected public
register return short signed sizeof static std struct switch template tflite this throw true try
typedef typeid typename union unsigned using virtual void volatile while xor
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Firmware:
    """A file together with what a firmware needs to run it.

    Args:
        name: Name of the files and of the C++ namespace.
        content: The file's bytes.
        arena: An `ArenaSize`.
        methods: Names of the resolver's methods that register the file's operators.
        inputs: `TensorDetails` of the inputs, in the file's order.
        outputs: `TensorDetails` of the outputs, in the file's order.
        keeps_state: Whether an operator keeps a state from one run to the next.
    """

    name: str
    content: bytes = dataclasses.field(repr=False)
    arena: ArenaSize
    methods: tuple[str, ...]
    inputs: tuple[TensorDetails, ...]
    outputs: tuple[TensorDetails, ...]
    keeps_state: bool = False

    def render(self) -> dict[str, str]:
        """Return file name -> C++ text.

        Raises:
            MissingPackageError: Jinja2 is not installed.
        """
        environment = _environment()
        return {
            path.format(name=self.name): environment.get_template(template).render(firmware=self)
            for path, template in _TEMPLATES.items()
        }

    def save(self, folder: StrPath) -> tuple[Path, ...]:
        """Write the files into a folder, which is created if it does not exist.

        Returns:
            Tuple of their paths.
        """
        folder = Path(folder)
        texts = self.render()
        return tuple(write_atomically(folder / name, text) for name, text in texts.items())

    def to_json(self) -> Json:
        """Return the figures as a dictionary that `json.dumps` takes."""
        return {
            "bytes": len(self.content),
            "arena_bytes": self.arena.total_bytes,
            "arena": {**dataclasses.asdict(self.arena)},
            "operators": list(self.methods),
            "estimated": [] if self.arena.measured else ["arena_bytes"],
        }

    def __str__(self):
        how = "measured in TFLite Micro" if self.arena.measured else "estimated"
        return (
            f"{self.name}: {len(self.content):,} bytes of flash, an arena of "
            f"{self.arena.total_bytes:,} bytes ({how}), {len(self.methods)} kinds of operators"
        )


def build_firmware(model: FileSource, name: str = "model") -> Firmware:
    """Collect what a firmware with TFLite Micro needs to run a file.

    Args:
        model: Path or bytes of a `.tflite`, or a `ConvertedModel`.
        name: Name of the files and of the C++ namespace.

    Returns:
        A `Firmware`; its `save(folder)` writes `name.h`, `name.cc` and `name_operators.h`.

    Raises:
        InvalidArgumentError: The name is not a C++ identifier.
        FlatbufferError: The source is not a readable TFLite file.
        ConversionError: TFLite Micro does not have an operator of the file.
        EvaluationError: TFLite Micro refuses the file.

    Example:
        >>> kc.build_firmware("model.tflite").save("firmware/")  # doctest: +SKIP
    """
    taken = {*_CPP_KEYWORDS.split(), *_MACROS.split()}
    # Headers define macros of capitals (NULL, INT8_MAX, M_PI), and others may define more.
    if not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name) or name in taken or name.isupper():
        raise InvalidArgumentError(
            "The name of a firmware's model must be a C++ identifier: letters, digits and single "
            "'_', beginning with a letter, with a small letter in it, and neither a keyword nor a "
            f"name that C's headers or compilers define. Received: {name!r}"
        )
    read = flatbuffer.read(model)
    return Firmware(
        name=name,
        content=read.content,
        methods=operator_methods(read),
        arena=arena_size(read),
        inputs=input_details(read),
        outputs=output_details(read),
        keeps_state=any(t.is_variable for graph in read.subgraphs for t in graph.tensors),
    )


@functools.cache
def _environment():
    try:
        import jinja2
    except ImportError as error:
        raise MissingPackageError(
            'Writing C++ source needs Jinja2: pip install "keras-compress[micro]"'
        ) from error

    folder = importlib.resources.files("keras_compress.exporting.micro")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        byte_lines=_byte_lines,
        comment=_comment,
        cpp_float=_cpp_float,
        cpp_type=_cpp_type,
        elements=lambda tensor: math.prod(tensor.shape),
    )
    return environment


def _byte_lines(content):
    """Yield lines of C++ that list the bytes."""
    for start in range(0, len(content), _BYTES_A_LINE):
        yield " ".join(f"0x{byte:02x}," for byte in content[start : start + _BYTES_A_LINE])


def _cpp_float(value):
    """Return a float32 as C++ text from which a compiler reads the same value."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search("[.e]", text) else f"{text}.0f"


def _cpp_type(details):
    return _CPP_TYPES.get(details.dtype.name, "unsigned char")


def _comment(text):
    """Return a name without characters that would end or continue a C++ comment."""
    return re.sub(r"[^\x20-\x5b\x5d-\x7e]", "?", str(text))
