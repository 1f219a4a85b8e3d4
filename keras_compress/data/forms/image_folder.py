"""A folder of images, whose sub-folders are the classes."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_compress.data.array_source import ArraySource, LazyArray
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.errors import InvalidArgumentError, MissingPackageError
from keras_compress.support import regular_files

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Number of channels -> the mode that PIL decodes into.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are the path of a folder."""
    return isinstance(data, str | os.PathLike) and os.path.isdir(data)


def read(data: Any, inputs: Inputs) -> Source:
    """Return the images of a folder, which are decoded on demand.

    Args:
        data: Path of a folder with one sub-folder of images for each class; the label of an
            image is the position of its folder's name among the sorted names. Images directly in
            the folder have no labels.
        inputs: `InputSpec` of the model's only input, (height, width, channels) with 1 channel
            (grey), 3 (RGB) or 4 (RGBA).

    Returns:
        An `ArraySource` of float32 images from 0 to 255, resized to the input's height and width
        (bilinear, ignoring the aspect ratio), and of int64 labels. For a model that was trained on
        another scale, put a `Rescaling` layer in front of it.

    Raises:
        InvalidArgumentError: There are no images, or the model does not take images.
        MissingPackageError: Pillow is not installed.
    """
    shape = _image_shape(data, inputs)
    _import_pillow()
    folder = Path(data)
    classes = sorted(path for path in folder.iterdir() if _is_class(path))
    groups = [_images(path) for path in classes] or [_images(folder)]
    paths = [path for group in groups for path in group]
    if not paths:
        raise InvalidArgumentError(
            f"A folder of images must contain images ({', '.join(_SUFFIXES)}), in one sub-folder "
            f"for each class or directly. Received: {folder} without any"
        )
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return ArraySource(_Images(paths, shape), labels if classes else None)


class _Images(LazyArray):
    """Images that are decoded when their rows are read."""

    def __init__(self, paths, shape):
        super().__init__((len(paths), *shape))
        self._paths = paths

    def rows(self, positions):
        images = np.empty((len(positions), *self.shape[1:]), np.float32)
        for row, position in enumerate(positions):
            images[row] = _decode(self._paths[position], self.shape[1:])
        return images


def _image_shape(data, inputs):
    shape: tuple[int | None, ...] = (
        inputs[0].shape if inputs is not None and len(inputs) == 1 else ()
    )
    if len(shape) == 3 and None not in shape and shape[-1] in _MODES:
        return shape
    target = "an unknown model" if inputs is None else ", ".join(map(str, inputs))
    raise InvalidArgumentError(
        "A folder of images needs a model with one input of fixed size (height, width, channels) "
        f"with 1, 3 or 4 channels. Received: folder {data} for {target}"
    )


def _is_class(path):
    return path.is_dir() and not path.name.startswith(".")


def _images(folder):
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _import_pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError(
            "Reading folders of images needs Pillow: pip install Pillow"
        ) from error
    return Image


def _decode(path, shape):
    image_module = _import_pillow()
    height, width, channels = shape
    regular_files.check(path)
    try:
        with image_module.open(path) as image:
            image = image.convert(_MODES[channels])
            image = image.resize((width, height), image_module.Resampling.BILINEAR)
            return np.asarray(image, np.float32).reshape(shape)
    except Exception as error:
        # PIL raises errors of any type on bad bytes.
        raise InvalidArgumentError(
            f"Each file of a folder of images must be an image that Pillow can decode. "
            f"Received: {path} ({' '.join(str(error).split())})"
        ) from error
