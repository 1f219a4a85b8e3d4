"""One trial carried out: recipe -> smaller model -> compress -> fine-tune -> file -> figures."""

import shutil
import time
import warnings
from collections.abc import Mapping

import keras

from keras_compress.callbacks.backup import BackupAndRestore
from keras_compress.compression.apply import compress
from keras_compress.compression.recipe_steps import recipe_callbacks, smaller, specs
from keras_compress.converters.tflite import convert
from keras_compress.data.training_data import TrainingData
from keras_compress.distilling.distillation import Distillation
from keras_compress.post_training.calibration import calibrate
from keras_compress.searching.objectives import device_file, keras_metric, measure
from keras_compress.searching.one_shot import prune_at_once, round_kernels
from keras_compress.searching.outcome import file_digests
from keras_compress.searching.trial_folder import TrialFolder
from keras_compress.support.files import whole_file, write_atomically


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
    folder = TrialFolder(job, context.search)
    with folder.in_use():
        figures = _TrialRun(job, context, folder).figures()
    keras.utils.clear_session(free_memory=True)
    return {**figures, "epochs": job.until, "seconds": time.perf_counter() - begin}


class _TrialRun:
    def __init__(self, job, context, folder):
        self._job, self._recipe, self._tuning = job, job.recipe, context.tuning
        self._folder, self._backup = folder.path, folder.backup
        self._validation = context.validation
        # First of all: data that is shuffled anew gives the samples of this seed.
        keras.utils.set_random_seed(self._tuning.seed)
        kept = max(self._tuning.scored, self._tuning.calibrated)
        self._data = TrainingData(context.train, self._tuning.batch_size, kept)
        self._teacher = keras.saving.load_model(context.baseline, compile=False)
        self._base = self._without_channels()

    def figures(self):
        """Do what the job asks for."""
        if self._job.until == 0:
            return self._measured(self._untrained(), "untrained")
        if self._job.until < self._tuning.epochs:
            x, y = self._validation
            return {"accuracy": keras_metric(self._trained(), x, y, self._metric)}
        figures = self._measured(self._trained(), "model")
        shutil.rmtree(self._backup, ignore_errors=True)
        return figures

    def _untrained(self):
        model = compress(self._base, **specs(self._base, self._recipe))
        return prune_at_once(model, self._samples())

    def _trained(self):
        """Fine-tune up to the job's epoch, from where an earlier run stopped."""
        steps = self._data.steps * self._tuning.epochs
        student = compress(self._base, **specs(self._base, self._recipe, steps))
        if self._recipe.calibrator not in ("moving_average", "min_max"):
            calibrate(student, self._samples())
        backup = BackupAndRestore(self._backup, delete_checkpoint=False)
        self._distillation(student, steps).fit(
            **self._data.fit_arguments(),
            epochs=self._job.until,
            callbacks=[backup, *recipe_callbacks(self._recipe, steps)],
            verbose=0,
        )
        return student

    def _distillation(self, student, steps):
        tuning = self._tuning
        distillation = Distillation(
            student,
            self._teacher,
            temperature=tuning.temperature,
            alpha=tuning.alpha,
            features=_remaining_features(tuning.features, student),
            feature_loss=tuning.feature_loss,
        )
        optimizer = _optimizer(tuning.optimizer, steps)
        distillation.compile(optimizer, tuning.loss, jit_compile=tuning.jit_compile)
        return distillation

    def _measured(self, model, name):
        """Convert, write the files, and measure."""
        model = round_kernels(model, self._recipe, self._samples(), self._tuning.seed)
        converted = convert(model, self._recipe.profile, self._samples(), progress=False)
        file = device_file(converted, self._recipe)
        x, y = self._validation
        objectives = measure(
            file,
            self._recipe.profile,
            x,
            y,
            self._metric,
            dense=converted.content,
        )
        write_atomically(self._folder / f"{name}.tflite", file)
        if file != converted.content:
            write_atomically(self._folder / f"{name}_dense.tflite", converted.content)
        if name == "model" or self._job.number < 0 or not self._tuning.epochs:
            with whole_file(self._folder / f"{name}.keras") as aside:
                model.save(aside)
        names = [f"{name}{ending}" for ending in (".tflite", "_dense.tflite", ".keras")]
        return {
            "accuracy": objectives.accuracy,
            "objectives": objectives.to_json(),
            "files": file_digests(self._folder, names),
        }

    def _without_channels(self):
        """Remove channels once: later pieces of the trial take the model from its folder."""
        if not self._recipe.removes:
            return self._teacher
        path = self._folder / "smaller.keras"
        if path.exists():
            try:
                return keras.saving.load_model(path, compile=False)
            except Exception as error:  # whatever a damaged archive raises
                warnings.warn(f"{path} is damaged and made again ({error})", stacklevel=2)
        data = self._data.samples(self._tuning.scored)
        with whole_file(path) as aside:
            smaller(self._teacher, self._recipe, data, self._tuning.loss).save(aside)
        return keras.saving.load_model(path, compile=False)

    def _samples(self):
        return self._data.samples(self._tuning.calibrated)[0]

    @property
    def _metric(self):
        return self._tuning.metric


def _remaining_features(features, student):
    """Return the pairs of layers to compare, without those that the student has lost."""
    pairs = features if isinstance(features, Mapping) else {name: name for name in features or ()}
    names = {layer.name for layer in student.layers}
    return {own: other for own, other in pairs.items() if own in names}


def _optimizer(optimizer, steps):
    if callable(optimizer) and not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer(steps)
    if optimizer is None:
        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.02)
        return keras.optimizers.Adam(rate)
    return keras.optimizers.get(keras.optimizers.serialize(keras.optimizers.get(optimizer)))
