"""The data sets of the demo: small images with labels."""

import dataclasses

import numpy as np

from keras_compress.errors import InvalidArgumentError

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images in [0, 1] and integer labels, split for training and test.

    Args:
        name: The data set's name.
        x_train: Float array (samples, height, width, channels).
        y_train: Integer array (samples,).
        x_test: As `x_train`.
        y_test: As `y_train`.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @property
    def classes(self):
        """Number of classes."""
        return int(self.y_train.max()) + 1


def load(name):
    """Load a data set.

    Args:
        name: `"digits"` comes with scikit-learn; the others are fetched by `keras.datasets`.

    Returns:
        A `Dataset`.

    Raises:
        InvalidArgumentError: The data could not be fetched.
    """
    if name == "digits":
        return _digits()
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception where a download fails.
        raise InvalidArgumentError(
            f"The data set {name} could not be fetched; --dataset digits needs no network. "
            f"Received: {error}"
        ) from error
    return Dataset(
        name, _images(x_train, 255), y_train.ravel(), _images(x_test, 255), y_test.ravel()
    )


def _digits():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        _images(digits.images, 16),
        digits.target,
        test_size=0.25,
        stratify=digits.target,
        random_state=0,
    )
    return Dataset("digits", x_train, y_train, x_test, y_test)


def _images(values, largest):
    values = values.astype(np.float32) / largest
    return values if values.ndim == 4 else values[..., np.newaxis]
