"""A whole compression in one object: what to remove, prune, cluster, quantize and round."""

import dataclasses
import json
import numbers
import os
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.spec import Clustering, Pruning, Quantization
from keras_compress.support import regular_files
from keras_compress.support.files import write_atomically
from keras_compress.support.types import StrPath

_FRACTIONS = ("macs", "channels", "blocks")


def _read(path):
    regular_files.check(path)
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(
            f"A recipe must be a readable TOML file. Received: {os.fspath(path)!r} ({error})"
        ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to compress a model: the result of `kc.search` and an argument of `kc.compress`.

    Args:
        profile: Name or path of the target.
        macs: Fraction of the multiply-accumulates that may remain after channels are removed, in
            (0, 1].
        channels: Fraction of the removable channels that may remain, in (0, 1], for all layers or
            as a dict from layer name to fraction (layers tied to that layer shrink with it).
        blocks: Fraction of the multiply-accumulates that may remain after whole blocks are removed.
        criterion: Name of the criterion that ranks channels and blocks.
        ranking: Which channels are ranked together, see `kc.shrink`.
        sparsity: Fraction of zeros among the weights, in [0, 1), for every layer or as a dict from
            layer name to fraction.
        pattern: Name of the sparsity pattern: `"unstructured"`, `"2:4"`, ...
        clusters: Number of values that the weights of a channel share; `None` does not cluster.
        weight_bits: Width of weights, or a dict from layer name to width; `None` uses the
            profile's.
        activation_bits: Width of activations; `None` uses the profile's.
        weight_quantizer: Name of the weight quantizer.
        calibrator: Name of the activation calibrator.
        rounding: How to round weights after training: `"adaround"` or `"gptq"`; `None` does not.

    Raises:
        InvalidArgumentError: A number outside its range.

    Example:
        >>> recipe = kc.Recipe(profile="cortex_m4", macs=0.6, sparsity={"head": 0.5})
        >>> print(recipe.to_toml())
        profile = "cortex_m4"
        macs = 0.6
        <BLANKLINE>
        [sparsity]
        "head" = 0.5
        <BLANKLINE>
        >>> kc.Recipe.from_toml(recipe.to_toml()) == recipe
        True
    """

    profile: str = "generic_int8"
    macs: float = 1.0
    channels: float | Mapping[str, float] = 1.0
    blocks: float = 1.0
    criterion: str = "l2_norm"
    ranking: str = "global"
    sparsity: float | Mapping[str, float] = 0.0
    pattern: str = "unstructured"
    clusters: int | None = None
    weight_bits: int | Mapping[str, int] | None = None
    activation_bits: int | None = None
    weight_quantizer: str = "abs_max"
    calibrator: str = "moving_average"
    rounding: str | None = None

    def __post_init__(self):
        for name in _FRACTIONS:
            for value in _values(getattr(self, name)):
                if not isinstance(value, numbers.Real) or not 0 < float(value) <= 1:
                    raise InvalidArgumentError(
                        f"{name} must be the fraction that may remain, in (0, 1]. "
                        f"Received: {name}={getattr(self, name)!r}"
                    )
        for value in _values(self.sparsity):
            if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
                raise InvalidArgumentError(
                    f"sparsity must be a fraction in [0, 1). Received: sparsity={self.sparsity!r}"
                )
        self._quantization()
        self.clustering()

    @classmethod
    def of(cls, value: "Recipe | Mapping[str, Any] | str | os.PathLike") -> Self:
        """Return the recipe given as a `Recipe`, a dict or the path of a TOML file.

        Raises:
            InvalidArgumentError: Any other value, or a file that is not a recipe.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return cls.from_json(value)
        if isinstance(value, str | os.PathLike):
            return cls.from_toml(_read(value))
        raise InvalidArgumentError(
            "A recipe must be a kc.Recipe, a dict of its fields, or the path of its TOML file. "
            f"Received: {value!r}"
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the recipe from the dict that `to_json` returned."""
        field_names = {field.name for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in field_names:
                raise UnknownNameError("field of a recipe", name, field_names)
        return cls(**fields)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Return the recipe from the text that `to_toml` returned.

        Raises:
            InvalidArgumentError: The text is not TOML or not a recipe.
        """
        try:
            return cls.from_json(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise InvalidArgumentError(f"The recipe is not valid TOML: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the fields that differ from the defaults, as a JSON-serializable dict."""
        fields: dict[str, Any] = {"profile": self.profile}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                fields[field.name] = dict(value) if isinstance(value, Mapping) else value
        return fields

    def to_toml(self) -> str:
        """Return the fields that differ from the defaults as TOML."""
        fields = self.to_json()
        tables = {name: value for name, value in fields.items() if isinstance(value, Mapping)}
        lines = [
            f"{name} = {json.dumps(value)}" for name, value in fields.items() if name not in tables
        ]
        for name, table in tables.items():
            lines += ["", f"[{name}]"]
            lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items()]
        return "\n".join(lines) + "\n"

    def save(self, path: StrPath) -> Path:
        """Write `to_toml()` to a file atomically and return its path."""
        return write_atomically(path, self.to_toml())

    def to_python(self) -> str:
        """Return Python code that compresses a trained `model` by this recipe."""
        fields = ", ".join(f"{name}={value!r}" for name, value in self.to_json().items())
        lines = [
            f"recipe = kc.Recipe({fields})",
            "student = kc.compress(model, recipe=recipe, data=(x, y), steps=steps)",
            "tuned = kc.Distillation(student, teacher=model)",
            'tuned.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])',
            "tuned.fit(x, y, epochs=epochs, callbacks=kc.recipe_callbacks(recipe, steps))",
        ]
        if self.rounding:
            lines.append(f"kc.round_weights(student, x, rounding={self.rounding!r})")
        lines.append(f"kc.convert(student, {self.profile!r}, x).save('model.tflite')")
        return "\n".join(lines)

    @property
    def removes(self) -> bool:
        """Whether the recipe removes channels or blocks."""
        fractions = [value for name in _FRACTIONS for value in _values(getattr(self, name))]
        return any(fraction < 1 for fraction in fractions)

    @property
    def prunes(self) -> bool:
        """Whether the recipe sets weights to zero."""
        return any(sparsity > 0 for sparsity in _values(self.sparsity))

    def pruning(
        self, layers: Collection[str], schedule: Callable[[float], Schedule]
    ) -> Pruning | dict[str, Pruning] | None:
        """Return the `pruning` argument of `kc.compress`.

        Args:
            layers: Names of the prunable layers; other layers of the recipe were removed.
            schedule: Function from a final sparsity to a schedule.
        """
        if not self.prunes:
            return None
        if not isinstance(self.sparsity, Mapping):
            return Pruning(pattern=self.pattern, schedule=schedule(self.sparsity))
        return {
            name: Pruning(pattern=self.pattern, schedule=schedule(sparsity))
            for name, sparsity in self.sparsity.items()
            if sparsity > 0 and name in layers
        } or None

    def quantization(self, layers: Collection[str]) -> Quantization:
        """Return the `quantization` argument of `kc.compress`.

        Args:
            layers: Names of the layers with kernels; other layers of the recipe were removed.
        """
        bits = self.weight_bits
        if isinstance(bits, Mapping):
            bits = {name: width for name, width in bits.items() if name in layers}
        return dataclasses.replace(self._quantization(), weight_bits=bits or None)

    def clustering(self) -> Clustering | None:
        """Return the `clustering` argument of `kc.compress`."""
        return None if self.clusters is None else Clustering(clusters=self.clusters)

    def _quantization(self):
        return Quantization(
            profile=self.profile,
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
            weight_quantizer=self.weight_quantizer,
            calibrator=self.calibrator,
        )

    def __hash__(self):
        return hash(json.dumps(self.to_json(), sort_keys=True))


def _values(setting: Any) -> list[Any]:
    return list(setting.values()) if isinstance(setting, Mapping) else [setting]
