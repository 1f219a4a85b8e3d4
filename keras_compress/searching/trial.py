"""One trial: recipe -> smaller model -> compress -> fine-tune -> file -> figures."""

import shutil
import time
from pathlib import Path

import keras

from keras_compress.callbacks.pruning_targets import CompressedTargets
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.compression.apply import compress
from keras_compress.compression.recipe_steps import recipe_callbacks, smaller, specs
from keras_compress.converters.tflite import convert
from keras_compress.data.model_inputs import input_specs
from keras_compress.data.reading import read
from keras_compress.data.training_data import TrainingData
from keras_compress.distilling.distillation import Distillation
from keras_compress.post_training.batch_norm_statistics import reestimate_batch_norm
from keras_compress.post_training.calibration import calibrate
from keras_compress.post_training.weight_rounding import round_weights
from keras_compress.pruning.masks import compute_masks
from keras_compress.searching.objectives import device_file, measure, simulated
from keras_compress.support.files import write_atomically


def run(job, context):
    """Run a piece of a trial; what an earlier run of it finished is not done again.

    Args:
        job: A `Job`.
        context: A `Context`.

    Returns:
        Dict of plain values: `epochs`, `accuracy`, `seconds`, and `objectives` where there is a
        file: before training and at the end of it.
    """
    begin = time.perf_counter()
    trial = _Trial(job, context)
    if job.until == 0:
        found = trial.measured(trial.at_once(), "untrained")
    elif job.until < context.tuning.epochs:
        accuracy = simulated(trial.trained(), *context.validation, context.tuning.metric)
        found = {"accuracy": accuracy}
    else:
        found = trial.measured(trial.trained(), "model")
        shutil.rmtree(trial.backup, ignore_errors=True)
    keras.utils.clear_session(free_memory=True)
    return {**found, "epochs": job.until, "seconds": time.perf_counter() - begin}


def compressed_at_once(model, recipe, data):
    """Carry out a recipe without training: zeros and clusters at once, ranges from samples.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        recipe: A `Recipe`.
        data: Samples in any form of docs/data.md, with labels where the recipe's criterion
            needs them.

    Returns:
        A compressed model, ready to be converted.
    """
    x, y = read(data, input_specs(model)).whole()
    compressed = compress(model, recipe=recipe, data=x if y is None else (x, y))
    return _rounded(_prune_at_once(compressed, x), recipe, x)


def _prune_at_once(model, x):
    for target in CompressedTargets(model).targets:
        (mask,) = compute_masks([target.prunable_weights()], target.pruning.schedule(0))
        target.set_mask(mask)
    for layer in compressed_layers(model):
        layer.begin_clustering()
    model = calibrate(model, x, method="min_max")
    if not _changes_kernels(model):
        return model
    # Ranges once more: those of the first time belong to the statistics before.
    return calibrate(reestimate_batch_norm(model, x), x, method="min_max")


def _changes_kernels(model):
    zeros = any(target.counts()[0] for target in CompressedTargets(model).targets)
    return zeros or any(layer.clustering is not None for layer in compressed_layers(model))


def _rounded(model, recipe, x, seed=0):
    if recipe.rounding in (None, "nearest"):
        return model
    return round_weights(model, x, recipe.rounding, seed=seed, progress=False)


class _Trial:
    def __init__(self, job, context):
        self.job, self.recipe, self.tuning = job, job.recipe, context.tuning
        self.folder = Path(job.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.backup = self.folder / "backup"
        self.validation = context.validation
        # First of all: data that is shuffled anew gives the samples of this seed.
        keras.utils.set_random_seed(self.tuning.seed)
        kept = max(self.tuning.scored, self.tuning.calibrated)
        self.data = TrainingData(context.train, self.tuning.batch_size, kept)
        self.teacher = keras.saving.load_model(context.baseline, compile=False)
        self.base = self._smaller()

    def at_once(self):
        """Compress without training."""
        model = compress(self.base, **specs(self.base, self.recipe))
        return _prune_at_once(model, self._samples())

    def trained(self):
        """Fine-tune up to the job's epoch, from where an earlier run stopped."""
        steps = self.data.steps * self.tuning.epochs
        student = compress(self.base, **specs(self.base, self.recipe, steps))
        if self.recipe.calibrator not in ("moving_average", "min_max"):
            calibrate(student, self._samples())
        tuned = Distillation(
            student,
            self.teacher,
            temperature=self.tuning.temperature,
            alpha=self.tuning.alpha,
            features=self._features(student),
            feature_loss=self.tuning.feature_loss,
        )
        tuned.compile(
            _optimizer(self.tuning.optimizer, steps),
            self.tuning.loss,
            jit_compile=self.tuning.jit_compile,
        )
        tuned.fit(
            **self.data.fit_arguments(),
            epochs=self.job.until,
            callbacks=[
                keras.callbacks.BackupAndRestore(self.backup, delete_checkpoint=False),
                *recipe_callbacks(self.recipe, steps),
            ],
            verbose=0,
        )
        return student

    def measured(self, model, name):
        """Convert, write the files, and measure."""
        model = _rounded(model, self.recipe, self._samples(), self.tuning.seed)
        converted = convert(model, self.recipe.profile, self._samples(), progress=False)
        file = device_file(converted, self.recipe)
        objectives = measure(
            file,
            self.recipe.profile,
            *self.validation,
            self.tuning.metric,
            dense=converted.content,
        )
        write_atomically(self.folder / f"{name}.tflite", file)
        if file != converted.content:
            write_atomically(self.folder / f"{name}_dense.tflite", converted.content)
        if name == "model" or self.job.number < 0 or not self.tuning.epochs:
            model.save(self.folder / f"{name}.keras")
        return {"accuracy": objectives.accuracy, "objectives": objectives.to_json()}

    def _smaller(self):
        """Remove channels once: later pieces of the trial take the model from its folder."""
        if not self.recipe.removes:
            return self.teacher
        path = self.folder / "smaller.keras"
        if not path.exists():
            data = self.data.samples(self.tuning.scored)
            model = smaller(self.teacher, self.recipe, data, self.tuning.loss)
            aside = self.folder / "unfinished.keras"
            model.save(aside)
            aside.replace(path)
        return keras.saving.load_model(path, compile=False)

    def _samples(self):
        return self.data.samples(self.tuning.calibrated)[0]

    def _features(self, student):
        """Keep the features whose layers were not removed."""
        features = self.tuning.features
        pairs = dict(features) if hasattr(features, "items") else {n: n for n in features or ()}
        names = {layer.name for layer in student.layers}
        return {own: other for own, other in pairs.items() if own in names}


def _optimizer(optimizer, steps):
    if callable(optimizer) and not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer(steps)
    if optimizer is None:
        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.02)
        return keras.optimizers.Adam(rate)
    return keras.optimizers.get(keras.optimizers.serialize(keras.optimizers.get(optimizer)))
