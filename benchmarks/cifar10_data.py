"""CIFAR-10 for the benchmarks: float32 images in [0, 1], and batches of them shifted and mirrored.

    from cifar10_data import augmented, load
    x, y = load("train", count=10_000)   # float32 [n, 32, 32, 3], int64 [n]
    model.fit(augmented(*load_uint8("train"), batch_size=128, seed=0), epochs=6)

The images are those in `../shared/data/cifar10` beside the checkout (JPEG files: 50,000 for
training, 5,000 for testing), or where that folder is absent `keras.datasets.cifar10`. Figures
from the one must not be compared with figures from the other.
"""

import functools
import importlib.util
from pathlib import Path

import keras
import numpy as np

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"
PADDING = 4


def source():
    """Return the name of the images that `load` reads, for the record of a run."""
    return "shared/data/cifar10 (JPEG)" if SHARED.exists() else "keras.datasets.cifar10"


@functools.lru_cache(maxsize=4)
def load_uint8(split, count=None):
    """Return the first `count` images (uint8, [n, 32, 32, 3]) and labels (int64, [n]) of `split`.

    What was read is kept, and cannot be written to, as a search asks for it in every trial.

    Args:
        split: "train" or "test".
        count: How many; all of them by default. Any prefix is a fair sample.
    """
    if SHARED.exists():
        spec = importlib.util.spec_from_file_location("shared_cifar10", SHARED / "cifar10.py")
        reader = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(reader)
        images, labels = reader.load(split, count)
    else:
        train, test = keras.datasets.cifar10.load_data()
        images, labels = train if split == "train" else test
    images, labels = images[:count], labels[:count].reshape(-1).astype(np.int64)
    for array in (images, labels):
        array.flags.writeable = False
    return images, labels


def load(split, count=None):
    """Return what `load_uint8` returns, the images as float32 in [0, 1]."""
    images, labels = load_uint8(split, count)
    return to_float(images), labels


def to_float(images):
    """Return uint8 images as float32 in [0, 1]."""
    return np.multiply(images, np.float32(1 / 255), dtype=np.float32)


class AugmentedImages(keras.utils.PyDataset):
    """Shuffled batches in which each image is mirrored or not and shifted by up to 4 pixels.

    The draws of a batch depend on the seed, the epoch and the batch's index alone, so two runs
    see the same images.

    Args:
        images: uint8, [n, height, width, channels]; kept as they are and cropped per batch.
        labels: Integers, [n].
        batch_size: Images per batch; the last, smaller batch of an epoch is dropped.
        seed: Integer seed of the order, the shifts and the mirroring.
        augment: With `False` the images are only shuffled.
        **kwargs: `workers` and the like of `keras.utils.PyDataset`.
    """

    def __init__(self, images, labels, batch_size=128, seed=0, augment=True, **kwargs):
        super().__init__(**kwargs)
        self.labels, self.batch_size, self.seed, self.augment = labels, batch_size, seed, augment
        self.epoch = 0
        around = [(0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)]
        padded = np.pad(images, around)
        height, width = images.shape[1:3]
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
        self.crops = windows.transpose(0, 1, 2, 4, 5, 3)
        self._shuffle()

    def __len__(self):
        return len(self.labels) // self.batch_size

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self._images(chosen, index), self.labels[chosen]

    def on_epoch_end(self):
        """Draw the next epoch's order."""
        self.epoch += 1
        self._shuffle()

    def _shuffle(self):
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labels))

    def _images(self, chosen, index):
        if not self.augment:
            return to_float(self.crops[chosen, PADDING, PADDING])
        rng = np.random.default_rng([self.seed, self.epoch, index])
        down, right = rng.integers(0, 2 * PADDING + 1, (2, len(chosen)))
        images = self.crops[chosen, down, right]
        mirrored = rng.random(len(chosen)) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
        return to_float(images)


def augmented(images, labels, batch_size=128, seed=0, **kwargs):
    """Return `AugmentedImages` over uint8 images, ready for `model.fit`."""
    return AugmentedImages(images, labels, batch_size, seed, **kwargs)
