"""What a compressed model must keep to: `kc.Constraints`."""

import dataclasses
import math
import numbers

from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.errors import InvalidArgumentError

_UNITS = {"flash_bytes": " bytes", "sram_bytes": " bytes", "latency_ms": " ms", "macs": " MACs"}
_WORDS = {
    "flash_bytes": "the file in flash",
    "sram_bytes": "the working memory",
    "latency_ms": "the latency",
    "macs": "the multiply-accumulates",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constraints:
    """Limits for `kc.search`. What is not said is limited by the profile alone.

    Args:
        max_accuracy_drop: Most accuracy that may be lost against the float model, in [0, 1]:
            0.01 is one point. Default 0.01.
        flash_bytes: Most bytes of the file; `None` takes the profile's budget.
        sram_bytes: Most bytes of working memory; `None` takes the profile's budget.
        latency_ms: Most milliseconds of one inference, as LiteRT or Vela tells it.
        macs: Most multiply-accumulates: a fraction of the float model's up to 1, or a number
            above 1.

    Raises:
        InvalidArgumentError: A limit that is no number, or not above 0.

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
            if limit is None:
                continue
            known = isinstance(limit, numbers.Real) and not isinstance(limit, bool)
            if not known or not limit > 0 or not math.isfinite(limit):
                raise InvalidArgumentError(
                    f"{name} must be a number above 0, or None. Received: {name}={limit!r}"
                )

    def resolved(self, profile, baseline_macs):
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

    def excesses(self, objectives, baseline_accuracy):
        """Say by how much each limit is passed, as a fraction of the limit.

        Args:
            objectives: Measured `Objectives`.
            baseline_accuracy: Accuracy of the float model.

        Returns:
            Dict with an entry for each constraint: positive where it is broken. That of the
            accuracy is in accuracy itself, a point being 0.01.
        """
        found = {
            "max_accuracy_drop": baseline_accuracy - objectives.accuracy - self.max_accuracy_drop
        }
        return {**found, **self.size_excesses(objectives)}

    def size_excesses(self, objectives):
        """Return `excesses` but for the accuracy's."""
        return {
            name: getattr(objectives, name) / limit - 1
            for name in _UNITS
            if (limit := getattr(self, name)) is not None and getattr(objectives, name) is not None
        }

    def sentence(self, objectives, baseline_accuracy):
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
        if worst == "max_accuracy_drop":
            lost = baseline_accuracy - objectives.accuracy
            return (
                f"max_accuracy_drop={self.max_accuracy_drop:g} binds: the nearest model loses "
                f"{100 * lost:.2f} points of accuracy, {100 * broken[worst]:.2f} more than "
                f"allowed.{rest}"
            )
        value, limit = getattr(objectives, worst), getattr(self, worst)
        return (
            f"{worst}={limit:,.6g} binds: {_WORDS[worst]} of the nearest model is "
            f"{value:,.6g}{_UNITS[worst]}, {value - limit:,.6g} ({100 * broken[worst]:.1f} %) "
            f"more than allowed.{rest}"
        )
