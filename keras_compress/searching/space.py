"""What a search may choose from, and the recipe that a choice stands for."""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_compress.compression.recipe import Recipe
from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.searching.probes import Probes
from keras_compress.searching.removals import Removal
from keras_compress.shrinking.selection import RANKINGS

_NEUTRAL: dict[str, Any] = {
    "macs": 1.0,
    "blocks": 1.0,
    "sparsity": 0.0,
    "narrow": 0.0,
    "clusters": 0,
    "allocation": "sensitivity",
    "pattern": "unstructured",
    "criterion": "l2_norm",
    "ranking": "global",
    "weight_quantizer": "abs_max",
    "calibrator": "moving_average",
    "rounding": "nearest",
}
_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
# A bitmap takes a bit for each weight.
_BITMAP = 1 / 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """Choices by name, and what is needed to turn one of each into a recipe.

    Args:
        profile: Name or path of the target.
        choices: Name -> values to choose from.
        probes: Sensitivities of the layers.
        removals: Ways of removing channels, the best first, for `starts`.
    """

    profile: str
    choices: Mapping[str, tuple]
    probes: Probes
    removals: tuple[Removal, ...] = ()

    @classmethod
    def of(cls, profile, probes, given=None, blocks=False):
        """Return the space of a target.

        Args:
            profile: Name or path of the target.
            probes: Sensitivities of the layers.
            given: Dict from name to values, in place of the usual ones; one value fixes it.
            blocks: Whether the model has blocks that can be removed.

        Raises:
            UnknownNameError: A name that is not a choice.
            InvalidArgumentError: No values.
        """
        choices = _usual_choices(edge_profile.get(profile), blocks)
        for name, values in (given or {}).items():
            if name not in _NEUTRAL:
                raise UnknownNameError("choice of a search", name, _NEUTRAL)
            if isinstance(values, str | numbers.Number) or not len(tuple(values)):
                raise InvalidArgumentError(
                    f"space maps names to lists of values. Received: space={{{name!r}: {values!r}}}"
                )
            choices[name] = tuple(values)
        return cls(profile=str(profile), choices=choices, probes=probes)

    def distributions(self):
        """Return Optuna's distributions of what there is to choose."""
        from optuna.distributions import (
            BaseDistribution,
            CategoricalDistribution,
            FloatDistribution,
        )

        distributions: dict[str, BaseDistribution] = {}
        for name, values in self.choices.items():
            if len(values) < 2:
                continue
            steps = _even_step(values)
            if steps is None:
                distributions[name] = CategoricalDistribution(values)
            else:
                distributions[name] = FloatDistribution(min(values), max(values), step=steps)
        return distributions

    def recipe(self, parameters):
        """Return the `Recipe` of a choice.

        Args:
            parameters: Dict from name to value; what is missing has its only or neutral value.
        """
        chosen = self.filled(parameters)
        macs, blocks = (round(float(chosen[name]), 6) for name in ("macs", "blocks"))
        # Recipes that remove nothing are the same whatever they would choose by.
        removal = chosen if macs < 1 or blocks < 1 else _NEUTRAL
        rounding = chosen["rounding"]
        return Recipe(
            profile=self.profile,
            macs=macs,
            blocks=blocks,
            criterion=removal["criterion"],
            ranking=removal["ranking"],
            sparsity=self._sparsity(chosen),
            pattern=chosen["pattern"],
            clusters=int(chosen["clusters"]) or None,
            weight_bits=self._weight_bits(chosen),
            weight_quantizer=chosen["weight_quantizer"],
            calibrator=chosen["calibrator"],
            rounding=None if rounding == "nearest" else rounding,
        )

    def _sparsity(self, chosen):
        """Return the share of zeros of every layer, or of each."""
        share = round(float(chosen["sparsity"]), 6)
        if not share or chosen["allocation"] == "uniform":
            return share
        return {name: s for name, s in self.probes.sparsities(share).items() if s}

    def _weight_bits(self, chosen):
        """Return the widths of the layers with few bits, `None` where there are none."""
        if not chosen["narrow"]:
            return None
        # Uniform widths are the same in every layer, or in none.
        share = 1.0 if chosen["allocation"] == "uniform" else float(chosen["narrow"])
        return self.probes.widths(share) or None

    def filled(self, parameters):
        """Return a value for every name."""
        only = {name: values[0] for name, values in self.choices.items() if len(values) == 1}
        return {**_NEUTRAL, **only, **parameters}

    def starts(self, limits, plain, count):
        """List choices to begin with: those whose files should fit, the mildest first.

        Each way of removing channels comes with two shares of zeros: the least that should fit,
        and one step less, because that is an estimate and the file may turn out smaller.

        Args:
            limits: `Constraints` with all limits as numbers.
            plain: `Objectives` of the plain quantized model.
            count: Most choices to return.

        Returns:
            List of parameter dicts.
        """
        starts = [
            {**way, "narrow": narrow, "sparsity": sparsity}
            for narrow in [n for n in self.choices["narrow"] if n in (0.0, 1.0)]
            for way in self._ways(limits, plain)
            for sparsity in self._around_fitting(limits, plain, way, narrow)
        ]
        unique = list({repr(start): start for start in self.opened(starts)}.values())
        return unique[:count]

    def _ways(self, limits, plain):
        """List ways to remove channels: the best two of a share that was tried, else the best."""
        ways = []
        for macs in self.shares(limits, plain):
            tried = [removal for removal in self.removals if removal.macs == macs]
            best = tried[:2] or self.removals[:1]
            ways += [{"macs": macs, **removal.choices} for removal in best] or [{"macs": macs}]
        return ways

    def shares(self, limits, plain):
        """List three shares of the MACs that keep to the limit, the largest first."""
        most = 1.0 if limits.macs is None else limits.macs / plain.macs
        within = [m for m in self.choices["macs"] if m <= most + 1e-9]
        shares = sorted(within or [min(self.choices["macs"])], reverse=True)
        return shares[:: 1 if most < 1 else 5][:3]

    def _around_fitting(self, limits, plain, way, narrow):
        """List the share of zeros one step below the least that should fit, and that one."""
        shares = sorted(self.choices["sparsity"])
        most = math.inf if limits.flash_bytes is None else limits.flash_bytes
        weights = sum(self.probes.kernel_sizes.values())
        remaining = weights * self._weights_at(way)
        room = most - (plain.flash_bytes - weights)
        fits = [remaining * _bytes_each(s, narrow) <= room for s in shares]
        if narrow:
            # Few bits are tried by themselves first.
            return shares[:1] if fits[0] else []
        least = fits.index(True) if any(fits) else len(shares) - 1
        begin = max(least - 1, 0)
        return shares[begin : begin + 2]

    def _weights_at(self, way):
        """Return the share of the weights that a way of removing channels leaves."""
        for removal in self.removals:
            if removal.choices.items() <= way.items():
                return removal.weights_at(way["macs"])
        return way["macs"]

    def opened(self, starts):
        """Return starts with a value for each name that leaves a choice."""
        return [self._open(start) for start in starts]

    def _open(self, start):
        """Return a value for each name that leaves a choice, the neutral one where it can."""
        preferred = {**_NEUTRAL, **start}
        return {
            name: preferred[name] if preferred[name] in values else values[0]
            for name, values in self.choices.items()
            if len(values) > 1
        }


def _usual_choices(target, has_blocks) -> dict[str, tuple]:
    stores_zeros = zeros_pay(target)
    return {
        "macs": tuple(round(0.3 + 0.05 * k, 2) for k in range(15)),
        "blocks": (1.0, 0.9) if has_blocks else (1.0,),
        "sparsity": tuple(round(0.1 * k, 1) for k in range(10)) if stores_zeros else (0.0,),
        "narrow": _STEPS if target.int4 else (0.0,),
        "clusters": (0, 32, 16) if stores_zeros else (0,),
        "allocation": ("sensitivity", "uniform"),
        "criterion": ("l2_norm", "taylor"),
        "ranking": RANKINGS,
        "weight_quantizer": ("abs_max", "least_squares"),
    }


def zeros_pay(target):
    """Tell whether a target stores zeros and clusters in fewer bytes.

    Args:
        target: A `Profile`.
    """
    return target.sparsity != "none" or target.runs_in_tflite_micro


def _bytes_each(sparsity, narrow):
    """Estimate the bytes of a weight: only to choose where to begin, files are measured."""
    dense = 1 - narrow / 2
    return min(dense, _BITMAP + 1 - sparsity) if not narrow else dense


def _even_step(values):
    """Return the step of values that grow evenly, or `None`."""
    if not all(isinstance(value, float) for value in values):
        return None
    steps = np.diff(sorted(values))
    return round(float(steps[0]), 9) if np.allclose(steps, steps[0]) and steps[0] > 0 else None
