"""Compiles a TFLite file for Coral's Edge TPU with Google's `edgetpu_compiler`."""

import dataclasses
import re
import shutil
from pathlib import Path

from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.support import processes
from keras_compress.support.files import temporary_folder, write_atomically
from keras_compress.support.tables import text_table
from keras_compress.support.types import Json, StrPath
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.types import FileSource

COMPILER = "edgetpu_compiler"
MAPPED = "Mapped to Edge TPU"

_RUNTIMES = range(10, 15)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FIGURES = {
    "cached_bytes": "On-chip memory used for caching model parameters",
    "free_cache_bytes": "On-chip memory remaining for caching model parameters",
    "streamed_bytes": "Off-chip memory used for streaming uncached model parameters",
}
_ROW = re.compile(r"^([A-Za-z][\w-]*)\s{2,}(\d+)\s{2,}(\S.*?)\s*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoralResult:
    """A file compiled for the Edge TPU, and the compiler's figures.

    Args:
        content: The compiled file.
        version: The compiler's version.
        subgraphs: Number of subgraphs that the Edge TPU executes.
        cached_bytes: Bytes of parameters that stay in memory on the chip.
        free_cache_bytes: Bytes of that memory that are still free.
        streamed_bytes: Bytes of parameters that are sent to the chip on every inference.
        operators: One dictionary per row of the compiler's table: `operator`, `count`, `status`.
    """

    content: bytes = dataclasses.field(repr=False)
    version: str
    subgraphs: int
    cached_bytes: int
    free_cache_bytes: int
    streamed_bytes: int
    operators: tuple[dict, ...]

    @property
    def accelerated_operators(self) -> int:
        """How many operators the Edge TPU executes."""
        return sum(row["count"] for row in self.operators if row["status"] == MAPPED)

    @property
    def cpu_operators(self) -> tuple[dict, ...]:
        """The rows of the operators that run on the CPU."""
        return tuple(row for row in self.operators if row["status"] != MAPPED)

    def save(self, path: StrPath) -> Path:
        """Write the compiled file; return its path."""
        return write_atomically(path, self.content)

    def to_json(self) -> Json:
        """Return all but the file as a dictionary that `json.dumps` takes."""
        fields = dataclasses.asdict(self)
        size = len(fields.pop("content"))
        return {"bytes": size, "accelerated_operators": self.accelerated_operators, **fields}

    def __str__(self):
        left = [f"{r['count']} {r['operator']} ({r['status']})" for r in self.cpu_operators]
        operators = f"{self.accelerated_operators} accelerated in {self.subgraphs} subgraphs"
        rows = [
            ("operators", f"{operators}; on the CPU: {', '.join(left) or 'none'}"),
            ("cache", f"{self.cached_bytes:,} bytes, {self.free_cache_bytes:,} free"),
            ("streamed", f"{self.streamed_bytes:,} bytes on every inference"),
        ]
        table = text_table(rows, alignment="<", indent="  ")
        return f"Edge TPU, compiler {self.version}\n{table}"


def is_installed() -> bool:
    """Return whether `edgetpu_compiler` is on the PATH."""
    return shutil.which(COMPILER) is not None


def compile_model(
    model: FileSource,
    *,
    multiple_subgraphs: bool = False,
    runtime_version: int | None = None,
    timeout_s: float = 600,
) -> CoralResult:
    """Compile a TFLite file with `edgetpu_compiler` and read its log.

    The compiler is closed source and runs on x86-64 Linux only. It was not available when this
    was written: the log is parsed as documented, which no run has confirmed.

    Args:
        model: Path or bytes of an integer `.tflite`, or a `ConvertedModel`.
        multiple_subgraphs: Whether several subgraphs may be mapped (`-a`).
        runtime_version: Oldest Edge TPU runtime that must load the file, 10 to 14 (`-m`).
        timeout_s: Seconds after which the compiler is stopped.

    Returns:
        A `CoralResult`.

    Raises:
        InvalidArgumentError: The compiler is not on the PATH, or there is no such runtime
            version.
        FlatbufferError: The source is not a readable TFLite file.
        ConversionError: The compiler failed, its log cannot be read, or nothing was mapped.

    Example:
        >>> from keras_compress.converters import coral
        >>> print(coral.compile_model("model.tflite"))  # doctest: +SKIP

    Source: Coral documentation, "Edge TPU Compiler".
    """
    if not is_installed():
        raise InvalidArgumentError(
            f"Compiling for Coral needs Google's {COMPILER} on the PATH (coral.ai, x86-64 Linux). "
            "Without it, kc.check(model, 'coral_edgetpu') says what would be mapped."
        )
    if runtime_version is not None and runtime_version not in _RUNTIMES:
        raise InvalidArgumentError(
            f"runtime_version must be 10 to 14. Received: {runtime_version!r}"
        )
    read = flatbuffer.read(model)
    options = ["-a"] * multiple_subgraphs
    options += [] if runtime_version is None else ["-m", str(runtime_version)]
    with temporary_folder() as folder:
        (folder / "model.tflite").write_bytes(read.content)
        log = _run(folder, options, timeout_s)
        content = (folder / "model_edgetpu.tflite").read_bytes()
    return _result(content, log)


def _run(folder, options, timeout_s):
    """Run the compiler on `model.tflite` in a folder; return its log."""
    command = [COMPILER, "-s", *options, "-o", str(folder), str(folder / "model.tflite")]
    outcome = processes.run(command, timeout_s)
    if outcome.timed_out:
        raise ConversionError(
            f"{COMPILER} took longer than {timeout_s:g} s and was stopped. Give it more time: "
            "timeout_s=..."
        )
    if outcome.exit_code or not (folder / "model_edgetpu.tflite").is_file():
        raise ConversionError(
            f"{COMPILER} could not compile the file ({outcome.summary()}). To see why: "
            "kc.check(model, 'coral_edgetpu')."
        )
    return outcome.output


def _result(content, log):
    rows = tuple(
        {"operator": name, "count": int(count), "status": status}
        for name, count, status in _ROW.findall(log)
    )
    result = CoralResult(
        content=content,
        version=_match(r"Edge TPU Compiler version (\S+)", log),
        subgraphs=int(_match(r"Number of Edge TPU subgraphs: (\d+)", log)),
        operators=rows,
        **{field: _bytes(label, log) for field, label in _FIGURES.items()},
    )
    if not result.accelerated_operators:
        raise ConversionError(
            "No operator of the file was mapped to the Edge TPU. To see why: "
            "kc.check(model, 'coral_edgetpu')."
        )
    return result


def _match(pattern, log):
    match = re.search(pattern, log)
    if match is None:
        raise ConversionError(
            f"The log of {COMPILER} differs from its documentation: it has no {pattern!r}."
        )
    return match[1]


def _bytes(label, log):
    number = _match(rf"{label}: ([\d.]+ *[KMG]?i?B)", log)
    size, unit = re.findall(r"([\d.]+) *(\w+)", number)[0]
    return round(float(size) * _UNITS[unit])
