"""A target's profile: the files it supports and its budgets, read from its TOML file."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

from keras_compress.edge_profiles import profile_file
from keras_compress.edge_profiles.operator_rule import OperatorRule
from keras_compress.errors import InvalidArgumentError, UnknownNameError

_NESTED = ("operators", "optimized", "fallback")
# What a profile names as its engine that is not of one target.
_ANY_ENGINE = "integer kernels"
FOLDER = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """One target, as `edge_profiles/<name>.toml` or a user's own file describes it.

    Args:
        name: The file's name without its extension.
        title: The target in a few words.
        weight_bits: Bit widths of weights that the target supports; the first is the default.
            16 and 32 stand for float16 and float32.
        activation_bits_supported: The same for activations.
        per_channel: Whether a convolution may have one scale for each output channel.
        per_channel_dense: The same for Dense layers, which many targets treat differently.
        input_type: Type of the file's inputs: `"int8"`, `"uint8"`, `"int16"`, `"float32"`.
        output_type: Type of the file's outputs.
        float_ops: Whether files for this target may have float operators.
        engine: What executes the operators of the table.
        operators: Operator -> rule; an empty table supports every built-in operator.
        unsupported: What happens to an operator that the table does not support: `"cpu"`, it runs
            on the CPU, or `"error"`, the file does not load.
        fallback: The profile of that CPU; `None` if it supports every built-in operator.
        optimized: Operator -> rule for the operators that have fast kernels on the engine.
        optimized_by: The library with these kernels; empty if all kernels are equally fast.
        one_subgraph: Whether the engine runs a single subgraph, so that everything after the first
            operator that it does not support runs elsewhere.
        integer_only: Whether the target refuses a file that computes in float.
        static_shapes: Whether the target refuses a file with a dynamic dimension.
        folds_constants: Whether the target's compiler removes operators that compute with
            shapes and constants only.
        flash_bytes: Largest size of the model in flash; `None` if there is no limit.
        sram_bytes: Largest size of the tensor arena; `None` if there is no limit.
        parameter_cache_bytes: Bytes of weights that the engine can keep; any more are streamed to
            it on every inference.
        channel_multiple: Channel counts that are a multiple of this waste no computation.
        sparsity: What zeros among the weights save: `"none"`, `"size"` (bytes) or `"speed"` (bytes
            and time).
        vela: Options of Arm's compiler: `accelerator`, `system_config`, `memory_mode`.
        notes: Other things a user of the target should know.
        sources: Figure -> where it comes from, beginning with `measured`, `seen` or, if it is
            not confirmed, `recalled`.

    Example:
        >>> from keras_compress.edge_profiles import profile
        >>> profile.get("cortex_m7").activation_bits
        8
    """

    name: str
    title: str
    weight_bits: tuple[int, ...] = (8,)
    activation_bits_supported: tuple[int, ...] = (8,)
    per_channel: bool = True
    per_channel_dense: bool = True
    input_type: str = "int8"
    output_type: str = "int8"
    float_ops: bool = False
    engine: str = "CPU"
    operators: dict[str, OperatorRule] = dataclasses.field(default_factory=dict, hash=False)
    unsupported: str = "cpu"
    fallback: "Profile | None" = None
    optimized: dict[str, OperatorRule] = dataclasses.field(default_factory=dict, hash=False)
    optimized_by: str = ""
    one_subgraph: bool = False
    integer_only: bool = False
    static_shapes: bool = False
    folds_constants: bool = False
    flash_bytes: int | None = None
    sram_bytes: int | None = None
    parameter_cache_bytes: int | None = None
    channel_multiple: int = 1
    sparsity: str = "none"
    vela: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()
    sources: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def activation_bits(self) -> int:
        """Bit width of activations in a conversion, by default."""
        return self.activation_bits_supported[0]

    @property
    def is_float(self) -> bool:
        """Whether a conversion for this target leaves activations in float."""
        return self.activation_bits == 32

    @property
    def quantizes_at_run_time(self) -> bool:
        """Whether a conversion keeps activations in float next to integer weights."""
        return self.is_float and self.weight_bits[0] <= 8

    @property
    def runs_in_litert(self) -> bool:
        """Whether LiteRT executes the file, so that its latency can be measured here."""
        return self.engine.endswith("(LiteRT)")

    @property
    def rounds_as_xnnpack(self) -> bool:
        """Whether training rounds as XNNPACK: in LiteRT, and where no target is known."""
        return self.runs_in_litert or self.engine == _ANY_ENGINE

    @property
    def runs_in_tflite_micro(self) -> bool:
        """Whether TFLite Micro executes the file, so that its arena can be measured here."""
        return self.engine.endswith("(TFLite Micro)")

    @property
    def int4(self) -> bool:
        """Whether the target supports 4-bit weights."""
        return 4 in self.weight_bits

    @property
    def int4_per_channel_dense(self) -> bool:
        """Whether a Dense layer may have a scale for each channel at 4 bits too."""
        rule = self.operators.get("FULLY_CONNECTED")
        one_scale = rule.limits.get("int4_one_scale") if rule else None
        return self.per_channel_dense and not (one_scale and one_scale.value)

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Names of the figures without a source, which are from memory."""
        return tuple(k for k, text in self.sources.items() if text.startswith("recalled"))

    def to_json(self) -> dict:
        """Return the figures and rules as a dictionary that `json.dumps` takes."""
        plain = (f.name for f in dataclasses.fields(self) if f.name not in _NESTED)
        tables = {
            table: {name: rule.describe() for name, rule in getattr(self, table).items()}
            for table in ("operators", "optimized")
        }
        return {
            **{name: getattr(self, name) for name in plain},
            "activation_bits": self.activation_bits,
            "fallback": self.fallback and self.fallback.title,
            **tables,
            "unconfirmed": list(self.unconfirmed),
        }

    def __str__(self):
        return f"{self.name}: {self.title}"


def profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with the package.

    Returns:
        Sorted tuple of names; each is accepted wherever a profile is.

    Example:
        >>> import keras_compress as kc
        >>> "cortex_m7" in kc.profiles()
        True
    """
    return tuple(sorted(p.stem for p in FOLDER.glob("*.toml") if not p.name.startswith("_")))


def get(profile: Any) -> Profile:
    """Return a profile by name or path; return a `Profile` unchanged.

    Args:
        profile: A name of `profiles()`, the path of a user's own `.toml`, or a `Profile`.

    Returns:
        The `Profile`.

    Raises:
        UnknownNameError: No profile has that name; the message suggests the nearest.
        ProfileError: The user's file breaks a rule; the message names the line and the key.
        InvalidArgumentError: The argument is not a name, a path or a profile.

    Example:
        >>> from keras_compress.edge_profiles import profile
        >>> print(profile.get("generic_int8"))
        generic_int8: Any integer TFLite runtime, int8 weights and activations
    """
    if isinstance(profile, Profile):
        return profile
    if not isinstance(profile, str | os.PathLike):
        raise InvalidArgumentError(
            "A profile must be a name, the path of a .toml file or a Profile. "
            f"Received: {profile!r}. Names: {', '.join(profiles())}"
        )
    if _is_path(profile):
        return _read(Path(profile))
    if profile not in profiles():
        raise UnknownNameError("profile", profile, profiles())
    return _builtin(profile)


@functools.cache
def _builtin(name):
    """Return a profile of the package, cached because its file does not change."""
    return _read(FOLDER / f"{name}.toml")


def _is_path(profile):
    text = os.fspath(profile)
    return not isinstance(profile, str) or text.endswith(".toml") or os.path.basename(text) != text


def _read(path):
    fields = profile_file.read(path, FOLDER)
    fallback = fields.pop("fallback", None)
    if fallback is not None:
        fields["fallback"] = _builtin(fallback)
    return Profile(name=path.stem, **fields)
