"""Every verb takes every form of data, and makes of it what it makes of plain arrays."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.data import representative_dataset
from keras_compress.data.model_inputs import input_specs
from keras_compress.data.training_data import TrainingData
from keras_compress.errors import InvalidArgumentError
from tests.fixtures.tables import quickly

BATCH, CLASSES = 8, 3
# What a grey image file holds without loss, sorted by class as a folder lists it.
X = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1)).astype("float32")
Y = np.repeat(np.arange(CLASSES), 8)
BATCHES = [(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, len(X), BATCH)]
_NORMALIZE = representative_dataset.normalize
OTHER = (np.sqrt(X[::-1]), Y)


class Tensor:
    """Behaves like `torch.Tensor`, where torch is not installed."""

    __module__ = "torch"
    dtype = "torch.float32"

    def __init__(self, array, on_cpu=False):
        self._array, self._on_cpu = array, on_cpu

    @property
    def shape(self):
        return self._array.shape

    def __getitem__(self, rows):
        return Tensor(self._array[rows])

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self._array, on_cpu=True)

    def numpy(self):
        assert self._on_cpu, "a tensor on a GPU has no numpy()"
        return self._array

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class DataLoader:
    """Behaves like `torch.utils.data.DataLoader`: batches are lists of tensors."""

    __module__ = "torch.utils.data.dataloader"

    def __len__(self):
        return len(BATCHES)

    def __iter__(self):
        return ([Tensor(x), Tensor(y)] for x, y in BATCHES)


class Numbered(keras.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        return BATCHES[index]


class Indexed:
    """A data set of samples with a length and an index, and nothing else."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], Y[index]


def tensors(x=X):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, Y))


def tensor_pair():
    import tensorflow as tf

    return tf.constant(X), tf.constant(Y)


def real_loader(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed here")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, batch_size=BATCH)


def npz(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def npy(folder):
    np.save(folder / "data.npy", X)
    return str(folder / "data.npy")


def image_folder(folder):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed here")
    for number, (x, y) in enumerate(zip(X, Y, strict=True)):
        place = folder / "images" / f"class_{y}"
        place.mkdir(parents=True, exist_ok=True)
        image_module.fromarray(x[..., 0].astype("uint8")).save(place / f"{number:02}.png")
    return folder / "images"


@dataclasses.dataclass(frozen=True)
class Form:
    """One form of the same samples.

    Args:
        make: Function of a folder that returns the data.
        has_labels: Whether they come with labels.
        is_counted: Whether `fit` can go through them again and count their batches.
    """

    make: Callable
    has_labels: bool = True
    is_counted: bool = False


FORMS = {
    "arrays": Form(lambda _: (X, Y), is_counted=True),
    "float64": Form(lambda _: (X.astype("float64"), Y), is_counted=True),
    "list of x and y": Form(lambda _: [X, Y], is_counted=True),
    "dict and labels": Form(lambda _: ({"image": X}, Y), is_counted=True),
    "list and labels": Form(lambda _: ([X], Y), is_counted=True),
    "tensors": Form(lambda _: tensor_pair(), is_counted=True),
    "torch tensors": Form(lambda _: (Tensor(X), Tensor(Y))),
    "x alone": Form(lambda _: X, has_labels=False),
    "dict": Form(lambda _: {"image": X}, has_labels=False),
    "nested lists": Form(lambda _: X.tolist(), has_labels=False),
    "list of samples": Form(lambda _: list(zip(X, Y, strict=True))),
    "list of batches": Form(lambda _: BATCHES),
    "batches without labels": Form(lambda _: [x for x, _ in BATCHES], has_labels=False),
    "generator": Form(lambda _: (pair for pair in BATCHES)),
    "generator of samples": Form(lambda _: zip(X, Y, strict=True)),
    "generator function": Form(lambda _: lambda: iter(BATCHES)),
    "weighted batches": Form(lambda _: [(x, y, np.ones(len(y))) for x, y in BATCHES]),
    "indexed": Form(lambda _: Indexed()),
    "tf.data": Form(lambda _: tensors().batch(BATCH), is_counted=True),
    "tf.data of samples": Form(lambda _: tensors()),
    "tf.data of dicts": Form(lambda _: tensors({"image": X}).batch(BATCH), is_counted=True),
    "function of tf.data": Form(lambda _: lambda: tensors().batch(BATCH), is_counted=True),
    "PyDataset": Form(lambda _: Numbered(), is_counted=True),
    "DataLoader": Form(lambda _: DataLoader(), is_counted=True),
    "torch's own DataLoader": Form(real_loader, is_counted=True),
    ".npz": Form(functools.partial(npz, x=X, y=Y), is_counted=True),
    ".npz by name": Form(functools.partial(npz, image=X, y=Y), is_counted=True),
    ".npy": Form(npy, has_labels=False),
    "folder": Form(image_folder, is_counted=True),
}


def network():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((8, 8, 1), name="image"),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(6, 3, activation="relu"),
        keras.layers.Conv2D(6, 3, use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def file(model):
    return kc.convert(model, representative_dataset=X, progress=False)


@pytest.fixture(scope="module")
def compressed():
    """As few layers as there are things to measure: a graph is traced for each form of data."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(CLASSES, use_bias=False)]
    layers += [keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), *layers])
    quantized = kc.compress(model, quantization=kc.Quantization(calibrator="min_max"))
    return kc.calibrate(quantized, X)


@pytest.fixture(scope="module")
def calibrated(compressed):
    """Return the same calibrated model whatever was done to it before."""
    weights = compressed.get_weights()

    def restored():
        compressed.set_weights(weights)
        return compressed

    return restored


class _Seen(Exception):
    """Ends a verb that has read its data: the rest of it takes long, and is not about data."""


def _calibration_samples(request, verb, *arguments, **options):
    """Return the arrays that a verb takes as calibration samples."""
    seen = {}

    def normalize(*arguments):
        seen.update(_NORMALIZE(*arguments).arrays)
        raise _Seen

    patch = request.getfixturevalue("monkeypatch")
    patch.setattr(representative_dataset, "normalize", normalize)
    with pytest.raises(_Seen):
        verb(*arguments, **options)
    patch.setattr(representative_dataset, "normalize", _NORMALIZE)
    return list(seen.values())


def _convert(request, data, _):
    model = request.getfixturevalue("model")
    return _calibration_samples(request, kc.convert, model, representative_dataset=data)


def _evaluate(request, data, form):
    file, model = request.getfixturevalue("file"), request.getfixturevalue("model")
    y = None if form.has_labels else Y
    result = _evaluated(file, data, y, model)
    return result.samples, result.model.metrics, result.outputs


def _calibrate(request, data, _):
    model = request.getfixturevalue("calibrated")()
    return kc.calibrate(model, data, batch_size=BATCH).get_weights()


def _correct_biases(request, data, _):
    model = request.getfixturevalue("calibrated")()
    return kc.correct_biases(model, data, batch_size=BATCH, progress=False).get_weights()


def _round_weights(request, data, _):
    model = request.getfixturevalue("calibrated")()
    return kc.round_weights(model, data, "gptq", batch_size=BATCH, progress=False).get_weights()


def _reestimate_batch_norm(request, data, _):
    model = request.getfixturevalue("calibrated")()
    return kc.reestimate_batch_norm(model, data, batch_size=BATCH).get_weights()


def _equalize(request, data, _):
    model = request.getfixturevalue("model")
    return kc.equalize(model, data, batch_size=BATCH).get_weights()


def _shrink(request, data, form):
    model = request.getfixturevalue("model")
    criterion = "taylor" if form.has_labels else "activation_zeros"
    options = {"loss": "sparse_categorical_crossentropy", "batch_size": BATCH}
    return kc.shrink(model, channels=0.6, criterion=criterion, data=data, **options).get_weights()


def _analyze(request, data, _):
    return _calibration_samples(request, kc.analyze, request.getfixturevalue("model"), data=data)


def _assign_bits(request, data, _):
    model = request.getfixturevalue("model")
    return _calibration_samples(request, kc.assign_bits, model, data, budget_bytes=300)


def _search(request, data, form):
    if not form.has_labels:
        with pytest.raises(InvalidArgumentError, match="must hold samples and labels"):
            kc.search(request.getfixturevalue("model"), (X, Y), data, trials=1)
        return None
    seen = {}

    def run(plan, bar):
        seen.update(train=TrainingData(plan.train, BATCH, 20), validation=plan.validation)
        raise _Seen

    request.getfixturevalue("monkeypatch").setattr("keras_compress.searching.search._run", run)
    train = data if form.is_counted else (X, Y)
    # A generator is read once: validation is what is seen of it.
    with pytest.raises(_Seen):
        kc.search(request.getfixturevalue("model"), train, data, trials=1)
    train = seen["train"]
    return train.steps, *map(_array, (*train.samples(20), *seen["validation"]))


VERBS = {
    function.__name__.removeprefix("_"): function
    for function in (
        _convert,
        _evaluate,
        _calibrate,
        _correct_biases,
        _round_weights,
        _reestimate_batch_norm,
        _equalize,
        _shrink,
        _analyze,
        _assign_bits,
        _search,
    )
}


# They end where they have read their data, and take no time.
READING_ALONE = ("convert", "assign_bits", "search")


def _array(x):
    """Return the only input's array, in whatever structure it stands."""
    (leaf,) = keras.tree.flatten(x)
    return np.asarray(leaf, np.float32)


@pytest.fixture(scope="module")
def expected():
    """Map (verb, whether there are labels) to what comes of arrays, made when first asked for."""
    return {}


def every_form_with_every_verb():
    """Return the table: quickly, each verb gets an eighth of the forms, others than the next."""
    verify = pytest.mark.verify("computes with every form in every verb: half a minute")
    return [
        pytest.param(form, verb, marks=() if verb in READING_ALONE or (i + j) % 8 == 0 else verify)
        for i, form in enumerate(FORMS)
        for j, verb in enumerate(VERBS)
    ]


@pytest.fixture
def of_arrays(request, expected, tmp_path):
    """Return what comes of arrays in a verb."""

    def result(verb, has_labels):
        if (verb, has_labels) not in expected:
            plain = FORMS["arrays" if has_labels else "x alone"]
            expected[verb, has_labels] = VERBS[verb](request, plain.make(tmp_path), plain)
        return expected[verb, has_labels]

    return result


@pytest.mark.parametrize(("name", "verb"), every_form_with_every_verb())
def test_every_form_gives_what_arrays_give(request, verb, name, of_arrays, tmp_path):
    form = FORMS[name]
    reference = of_arrays(verb, form.has_labels)
    _assert_equal(VERBS[verb](request, form.make(tmp_path), form), reference)


@pytest.mark.parametrize("verb", VERBS)
def test_other_data_give_something_else(request, verb, of_arrays):
    with pytest.raises(AssertionError):
        _assert_equal(VERBS[verb](request, OTHER, FORMS["arrays"]), of_arrays(verb, True))


def _assert_equal(result, reference):
    if isinstance(result, tuple | list) and not dataclasses.is_dataclass(result):
        assert len(result) == len(reference)
        for one, other in zip(result, reference, strict=True):
            _assert_equal(one, other)
    elif isinstance(result, np.ndarray):
        np.testing.assert_array_equal(result, reference)
    else:
        assert result == reference


LEFT = np.random.default_rng(1).normal(size=(24, 5)).astype("float32")
RIGHT = np.random.default_rng(2).normal(size=(24, 3)).astype("float32")


def pairs(batch=None):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(({"left": LEFT, "right": RIGHT}, Y))
    return data.batch(batch) if batch else data


TWO_INPUTS = {
    "list": lambda _: ([LEFT, RIGHT], Y),
    "dict": lambda _: ({"right": RIGHT, "left": LEFT}, Y),
    "inputs without labels": lambda _: (LEFT, RIGHT),
    "samples": lambda _: [((a, b), y) for a, b, y in zip(LEFT, RIGHT, Y, strict=True)],
    "samples without labels": lambda _: lambda: zip(LEFT, RIGHT, strict=True),
    "batches": lambda _: [([LEFT[:9], RIGHT[:9]], Y[:9]), ([LEFT[9:], RIGHT[9:]], Y[9:])],
    "tf.data": lambda _: pairs(8),
    "tf.data of samples": lambda _: pairs(),
    ".npz": functools.partial(npz, left=LEFT, right=RIGHT, y=Y),
}


@pytest.fixture(scope="module")
def two_inputs():
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((5,), name="left"), keras.Input((3,), name="right")]
    outputs = keras.layers.Dense(CLASSES)(keras.layers.Concatenate()(inputs))
    model = keras.Model(inputs, outputs)
    file = kc.convert(model, representative_dataset=[LEFT, RIGHT], progress=False)
    return model, file, _evaluated(file, [LEFT, RIGHT], Y, model)


def _evaluated(file, data, y, model):
    options = {"latency_runs": 0, "progress": False, "untrusted": False}
    return kc.evaluate(file, data, y, baseline=model, **options)


@pytest.mark.parametrize(
    "name", quickly(list(TWO_INPUTS), "converts and evaluates every form of two inputs", every=2)
)
def test_two_inputs_in_every_form(two_inputs, name, tmp_path):
    model, file, reference = two_inputs
    data = TWO_INPUTS[name](tmp_path)
    converted = kc.convert(model, representative_dataset=data, progress=False)
    assert converted.content == file.content
    data = TWO_INPUTS[name](tmp_path)
    y = Y if "without" in name else None
    result = _evaluated(file, data, y, model)
    assert result.outputs == reference.outputs and "accuracy" in result.model.metrics
    assert [spec.name for spec in input_specs(model)] == ["left", "right"]
