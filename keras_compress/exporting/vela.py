"""Compiles a TFLite file for an Arm Ethos-U with Arm's own compiler, Vela."""

import collections
import csv
import dataclasses
import importlib.util
import os
from pathlib import Path

from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.support import processes
from keras_compress.support.files import temporary_folder, write_atomically
from keras_compress.support.tables import text_table
from keras_compress.support.types import Json, StrPath
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.layer_names import LayerNames
from keras_compress.tflite.types import FileSource

_OPTIONS = ("accelerator", "system_config", "memory_mode")
_OPTIMISE = ("Performance", "Size")
_CONFIG = "Arm/vela.ini"
_NPU_OPERATOR = "ethos-u"
_KIB = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class VelaResult:
    """A file compiled for an Ethos-U, and the compiler's estimates.

    Times and cycles come from Vela's model of the accelerator; nothing was simulated.

    Args:
        content: The compiled file.
        profile: Name of the profile.
        accelerator: Vela's name of the accelerator.
        system_config: Its clock and memories, a section of `Arm/vela.ini`.
        memory_mode: Where weights and feature maps lie, also a section of `Arm/vela.ini`.
        cycles: Cycles of one inference.
        inference_ms: Its time at the configuration's clock.
        macs: Multiply-accumulate operations on the accelerator.
        sram_bytes: Feature maps and cached weights in SRAM.
        dram_bytes: The same in DRAM.
        flash_bytes: Encoded weights and commands in flash, on the chip or off it.
        accelerated_operators: How many operators the accelerator executes.
        cpu_operators: One dictionary for each operator that runs on the CPU: `operator` and
            `layer`, in the order of execution.
    """

    content: bytes = dataclasses.field(repr=False)
    profile: str
    accelerator: str
    system_config: str
    memory_mode: str
    cycles: int
    inference_ms: float
    macs: int
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    accelerated_operators: int
    cpu_operators: tuple[dict, ...]

    def save(self, path: StrPath) -> Path:
        """Write the compiled file; return its path."""
        return write_atomically(path, self.content)

    def to_json(self) -> Json:
        """Return all but the file as a dictionary that `json.dumps` takes."""
        fields = dataclasses.asdict(self)
        fields["bytes"] = len(fields.pop("content"))
        fields["estimated"] = ["cycles", "inference_ms"]
        return fields

    def __str__(self):
        left = collections.Counter(entry["operator"] for entry in self.cpu_operators)
        on_cpu = ", ".join(f"{count} {name}" for name, count in left.items()) or "none"
        title = f"{self.accelerator} ({self.system_config}, {self.memory_mode})"
        rows = [
            ("inference", f"{self.inference_ms:.3f} ms, {self.cycles:,} cycles (estimate)"),
            ("SRAM", f"{self.sram_bytes:,} bytes"),
            ("DRAM", f"{self.dram_bytes:,} bytes"),
            ("flash", f"{self.flash_bytes:,} bytes"),
            ("operators", f"{self.accelerated_operators} accelerated; on the CPU: {on_cpu}"),
        ]
        return f"{title}\n{text_table(rows, alignment='<', indent='  ')}"


def compile_model(
    model: FileSource,
    profile: str | os.PathLike | Profile,
    *,
    optimise: str = "Performance",
    timeout_s: float = 600,
) -> VelaResult:
    """Compile a TFLite file for the Ethos-U of a profile.

    Accelerator, system configuration and memory mode are always passed to Vela, because its silent
    defaults change latency fourfold. The operators that run on the accelerator are read from the
    compiled file, because Vela reports success even if none do.

    Args:
        model: Path or bytes of an integer `.tflite`, or a `ConvertedModel`.
        profile: Name, path or `Profile` of a target with a `[vela]` table.
        optimise: `"Performance"`, or `"Size"` for less SRAM at more cycles.
        timeout_s: Seconds after which the compiler is stopped.

    Returns:
        A `VelaResult`.

    Raises:
        InvalidArgumentError: The profile is not one of an Ethos-U, an argument is unknown, or
            `ethos-u-vela` is not installed.
        FlatbufferError: The source is not a readable TFLite file.
        ConversionError: The file has weights that Vela crashes on, Vela failed, or no operator
            runs on the accelerator.

    Example:
        >>> from keras_compress.converters import vela
        >>> print(vela.compile_model("model.tflite", "ethos_u55_128"))  # doctest: +SKIP
    """
    target = edge_profile.get(profile)
    _require_vela(target)
    if optimise not in _OPTIMISE:
        raise InvalidArgumentError(
            f"optimise must be one of {', '.join(_OPTIMISE)}. Received: {optimise!r}"
        )
    read = flatbuffer.read(model)
    names = _layer_names(model, read)
    _refuse_weights(read, names)
    with temporary_folder() as folder:
        (folder / "model.tflite").write_bytes(read.content)
        _run(folder, target, optimise, timeout_s)
        content = (folder / "model_vela.tflite").read_bytes()
        figures = _figures(folder)
    return _result(content, figures, target, read, getattr(model, "scopes", None))


def _require_vela(target):
    missing = [option for option in _OPTIONS if option not in target.vela]
    if missing:
        suitable = [n for n in edge_profile.profiles() if edge_profile.get(n).vela]
        raise InvalidArgumentError(
            f"Vela compiles for Ethos-U only: a profile must set {', '.join(missing)} under "
            f"[vela]. Received: {target.name!r}. Profiles: {', '.join(suitable)}"
        )
    if importlib.util.find_spec("ethosu") is None:
        raise InvalidArgumentError(
            "Compiling for Ethos-U needs Arm's compiler. Install it: pip install ethos-u-vela"
        )


def _layer_names(model, read):
    scopes, outputs = getattr(model, "scopes", None), getattr(model, "output_layers", ())
    return LayerNames(read.subgraphs[0], scopes, outputs)


def _refuse_weights(read, names):
    """Refuse weights that make Vela crash without an explanation."""
    for op in read.operators:
        for tensor in (t for t in op.inputs if t is not None and t.is_constant):
            narrow = tensor.dtype.is_integer and tensor.dtype.bits < 8
            if narrow or tensor.is_sparse:
                kind = f"{tensor.dtype} weights" if narrow else "sparse weights"
                fix = "with weight_bits=8" if narrow else "without Optimize.EXPERIMENTAL_SPARSITY"
                raise ConversionError(
                    "Vela supports dense 8-bit weights only, and crashes on others. Convert "
                    f"{fix}. Received: {op.name} of layer {names.first(op)} with {kind}"
                )


def _run(folder, target, optimise, timeout_s):
    """Run Vela on `model.tflite` in a folder; it writes its results there."""
    command = processes.python_command("ethosu.vela", folder / "model.tflite")
    command += ["--accelerator-config", target.vela["accelerator"], "--config", _CONFIG]
    command += ["--system-config", target.vela["system_config"]]
    command += ["--memory-mode", target.vela["memory_mode"]]
    command += ["--optimise", optimise, "--output-dir", str(folder)]
    outcome = processes.run(command, timeout_s)
    if outcome.timed_out:
        raise ConversionError(
            f"Vela took longer than {timeout_s:g} s and was stopped. Give it more time: "
            "timeout_s=..."
        )
    if outcome.exit_code or not (folder / "model_vela.tflite").is_file():
        raise ConversionError(
            f"Vela could not compile the file ({outcome.summary()}). To see why: "
            f"kc.check(model, {target.name!r})."
        )


def _figures(folder):
    """Read the last row of the summary that Vela writes beside the compiled file."""
    (summary,) = folder.glob("model_summary_*.csv")
    with open(summary, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))[-1]


def _result(content, figures, target, read, scopes):
    compiled = flatbuffer.read(content)
    names = LayerNames(compiled.subgraphs[0], scopes)
    on_cpu = [op for op in compiled.operators if op.name != _NPU_OPERATOR]
    if len(on_cpu) == len(compiled.operators):
        raise ConversionError(
            f"No operator runs on {target.vela['accelerator']}: Vela left all "
            f"{len(on_cpu)} operators to the CPU. To see why: kc.check(model, {target.name!r})."
        )
    flash = ("on_chip_flash_memory_used", "off_chip_flash_memory_used")
    return VelaResult(
        content=content,
        profile=target.name,
        **{option: target.vela[option] for option in _OPTIONS},
        cycles=round(float(figures["cycles_total"])),
        inference_ms=1000 * float(figures["inference_time"]),
        macs=round(float(figures["nn_macs"])),
        sram_bytes=_bytes(figures["sram_memory_used"]),
        dram_bytes=_bytes(figures["dram_memory_used"]),
        flash_bytes=sum(_bytes(figures[name]) for name in flash),
        accelerated_operators=_accelerated(read, on_cpu),
        cpu_operators=tuple({"operator": op.name, "layer": names.first(op)} for op in on_cpu),
    )


def _accelerated(read, on_cpu):
    """Return the number of operators of the original file that do not run on the CPU."""
    before = collections.Counter(op.name for op in read.operators)
    return (before - collections.Counter(op.name for op in on_cpu)).total()


def _bytes(kib):
    return round(float(kib) * _KIB)
