"""The limits of a compressed model: `kc.Constraints`."""

import dataclasses
import math
import numbers
import os
from typing import Self

from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.searching.objectives import Objectives

_UNITS = {"flash_bytes": " bytes", "sram_bytes": " bytes", "latency_ms": " ms", "macs": " MACs"}
_QUANTITIES = {
    "flash_bytes": "the file in flash",
    "sram_bytes": "the working memory",
    "latency_ms": "the latency",
    "macs": "the multiply-accumulates",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constraints:
    """Limits for `kc.search`. Memory that is left out is limited by the profile.

    Args:
        max_accuracy_drop: Most accuracy that may be lost against the float model, in [0, 1]:
            0.01 is one point. Default 0.01.
        flash_bytes: Most bytes of the file; `None` takes the profile's budget.
        sram_bytes: Most bytes of working memory; `None` takes the profile's budget.
        latency_ms: Most milliseconds of one inference, as LiteRT measures or Vela estimates it.
        macs: Most multiply-accumulates: a fraction of the float model's up to 1, or a number
            above 1.

    Raises:
        InvalidArgumentError: A limit that is not a number above 0.

    Example:
        >>> kc.Constraints(flash_bytes=60_000).max_accuracy_drop
        0.01
    """

    max_accuracy_drop: float = 0.01
    flash_bytes: int | None = None
    sram_bytes: int | None = None
    latency_ms: float | None = None
    macs: float | None = None

    def __post_init__(self):
        drop = self.max_accuracy_drop
        if not isinstance(drop, numbers.Real) or not 0 <= drop <= 1:
            raise InvalidArgumentError(
                "max_accuracy_drop must lie in [0, 1]: 0.01 is one point. "
                f"Received: max_accuracy_drop={drop!r}"
            )
        for name in _UNITS:
            limit = getattr(self, name)
            if limit is not None and not _is_limit(limit):
                raise InvalidArgumentError(
                    f"{name} must be a number above 0, or None. Received: {name}={limit!r}"
                )

    def resolved(self, profile: str | os.PathLike | Profile, baseline_macs: int) -> Self:
        """Fill in the profile's budgets and turn a fraction of MACs into a number.

        Args:
            profile: Name, path or `Profile` of the target.
            baseline_macs: Multiply-accumulates of the float model.

        Returns:
            `Constraints`.
        """
        target = edge_profile.get(profile)
        macs = self.macs
        return dataclasses.replace(
            self,
            flash_bytes=self.flash_bytes or target.flash_bytes,
            sram_bytes=self.sram_bytes or target.sram_bytes,
            macs=macs * baseline_macs if macs is not None and macs <= 1 else macs,
        )

    def excesses(self, objectives: Objectives, baseline_accuracy: float) -> dict[str, float]:
        """Return by how much each limit is exceeded, as a fraction of the limit.

        Args:
            objectives: Measured `Objectives`.
            baseline_accuracy: Accuracy of the float model.

        Returns:
            Dict with an entry for each constraint: positive where it is broken. The entry of the
            accuracy is in accuracy itself, a point being 0.01.
        """
        lost = baseline_accuracy - objectives.accuracy
        return {
            "max_accuracy_drop": lost - self.max_accuracy_drop,
            **self.size_excesses(objectives),
        }

    def size_excesses(self, objectives: Objectives) -> dict[str, float]:
        """Return `excesses` without the entry of the accuracy."""
        return {
            name: getattr(objectives, name) / limit - 1
            for name in _UNITS
            if (limit := getattr(self, name)) is not None and getattr(objectives, name) is not None
        }

    def sentence(self, objectives: Objectives, baseline_accuracy: float) -> str:
        """Say which constraint a model breaks most, and by how much.

        Args:
            objectives: Measured `Objectives` of the nearest model.
            baseline_accuracy: Accuracy of the float model.

        Returns:
            A sentence; empty where all constraints hold.
        """
        excesses = self.excesses(objectives, baseline_accuracy)
        broken = {name: excess for name, excess in excesses.items() if excess > 0}
        if not broken:
            return ""
        worst = max(broken, key=broken.__getitem__)
        others = ", ".join(name for name in broken if name != worst)
        rest = f" Also broken: {others}." if others else ""
        return self._binding(worst, broken[worst], objectives, baseline_accuracy) + rest

    def _binding(self, name, excess, objectives, baseline_accuracy):
        """Say of one constraint by how much it is broken."""
        if name == "max_accuracy_drop":
            lost = baseline_accuracy - objectives.accuracy
            return (
                f"max_accuracy_drop={self.max_accuracy_drop:g} binds: the nearest model loses "
                f"{100 * lost:.2f} points of accuracy, {100 * excess:.2f} more than allowed."
            )
        value, limit = getattr(objectives, name), getattr(self, name)
        return (
            f"{name}={limit:,.6g} binds: {_QUANTITIES[name]} of the nearest model is "
            f"{value:,.6g}{_UNITS[name]}, {value - limit:,.6g} ({100 * excess:.1f} %) "
            "more than allowed."
        )


def _is_limit(value):
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and value > 0 and math.isfinite(value)
