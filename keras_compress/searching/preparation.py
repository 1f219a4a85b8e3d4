"""What a search measures before its first generation."""

import dataclasses

from keras_compress.compression.recipe import Recipe
from keras_compress.converters.tflite import convert
from keras_compress.data.training_data import TrainingData
from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.errors import ConversionError
from keras_compress.evaluation.comparison import evaluate
from keras_compress.searching.constraints import Constraints
from keras_compress.searching.objectives import Objectives, main_metric
from keras_compress.searching.outcome import file_digest
from keras_compress.searching.probes import Probes, probe
from keras_compress.searching.removals import Removal, probe_removals
from keras_compress.searching.space import Space, zeros_pay
from keras_compress.searching.trial import PLAIN
from keras_compress.shrinking.blocks import find_blocks
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.support.files import whole_file

_PROBE_SAMPLES = 128
_SCORING_SAMPLES = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """What the generations start from.

    Args:
        baseline_accuracy: Accuracy of the float model.
        plain: `Objectives` of the plain quantized model.
        limits: `Constraints` with all limits as numbers.
        space: What recipes are chosen from.
    """

    baseline_accuracy: float
    plain: Objectives
    limits: Constraints
    space: Space


def prepare(plan, ledger, runner):
    """Measure the float model, plain quantization, the layers and ways of removing channels.

    Args:
        plan: A `SearchPlan`.
        ledger: The `Ledger`, where each figure is written down.
        runner: The `TrialRunner`, which keeps the plain trial.

    Returns:
        A `Preparation`.

    Raises:
        ConversionError: The model cannot even be quantized plainly.
    """
    kept = max(_PROBE_SAMPLES, _SCORING_SAMPLES)
    data = TrainingData(plan.train, plan.tuning.batch_size, kept)
    _save_float_model(plan, ledger)
    baseline_accuracy = ledger.remember(
        "baseline", lambda: {"accuracy": float_accuracy(plan)}, lambda value: value["accuracy"]
    )
    plain = _run_plain(plan, runner)
    limits = plan.constraints.resolved(plan.profile, plain.macs)
    space = _space(plan, ledger, data)
    removals = ledger.remember(
        "removals",
        lambda: removal_figures(plan, space, space.shares(limits, plain), data),
        lambda recorded: tuple(Removal(**removal) for removal in recorded),
    )
    return Preparation(
        baseline_accuracy=baseline_accuracy,
        plain=plain,
        limits=limits,
        space=dataclasses.replace(space, removals=removals),
    )


def float_accuracy(plan):
    """Return the accuracy of the float model's file on the validation data."""
    x, y = plan.validation
    file = convert(plan.model, "float32", progress=False)
    result = evaluate(file, x, y, metrics=plan.tuning.metric, latency_runs=0, progress=False)
    return main_metric(result)[1]


def removal_figures(plan, space, shares, data):
    """Try ways of removing channels at the largest share below 1; return plain dictionaries."""
    share = next((share for share in shares if share < 1), None)
    if share is None:
        return []
    removals = probe_removals(
        plan.model,
        share,
        data.samples(_SCORING_SAMPLES),
        plan.tuning.loss,
        plan.tuning.metric,
        space.choices["criterion"],
        space.choices["ranking"],
    )
    return [dataclasses.asdict(removal) for removal in removals]


def _save_float_model(plan, ledger):
    """Save the model for the trials, unless the file is the one that this search has saved."""
    path = plan.baseline_path
    is_saved = path.is_file() and ledger.recorded("baseline file") == file_digest(path)
    if not is_saved:
        with whole_file(path) as aside:
            plan.model.save(aside)
        ledger.record("baseline file", file_digest(path))


def _run_plain(plan, runner):
    """Measure plain quantization after training: what every search starts from."""
    runner.run({PLAIN: Recipe(profile=plan.profile)}, until=0, state="complete")
    plain = runner.trials[PLAIN]
    if plain.error:
        # The cause may be gone when the search is called again.
        runner.forget(PLAIN, until=0)
        raise ConversionError(
            f"The model cannot be quantized for {plan.profile}, so no compressed form of it can "
            f"be converted. Solve this first. Received: {plain.error}"
        )
    return plain.objectives


def _space(plan, ledger, data):
    probes = ledger.remember(
        "probes", lambda: _probe_layers(plan, data).to_json(), Probes.from_json
    )
    has_blocks = bool(find_blocks(DependencyGraph(plan.model)))
    return Space.of(plan.profile, probes, plan.choices, has_blocks)


def _probe_layers(plan, data):
    target = edge_profile.get(plan.profile)
    x, _ = data.samples(_PROBE_SAMPLES)
    widths = [bits for bits in target.weight_bits if bits <= 8]
    return probe(plan.model, x, widths, zeros_pay(target))
