"""A folder of images: classes by sorted names, images at the size that the model takes."""

import sys

import numpy as np
import pytest

from keras_compress.data.forms import image_folder
from keras_compress.data.input_spec import InputSpec
from keras_compress.errors import InvalidArgumentError, MissingPackageError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed here")


def spec(*shape):
    return [InputSpec("image", shape)]


@pytest.fixture
def folder(tmp_path):
    colors = {"cat": ["red"], "ant": ["blue", "lime"], ".hidden": ["white"]}
    for name, images in colors.items():
        (tmp_path / name).mkdir()
        for number, color in enumerate(images):
            Image.new("RGB", (6, 10), color).save(tmp_path / name / f"{number}.PNG")
    (tmp_path / "ant" / "notes.txt").write_text("no image")
    return tmp_path


def test_labels_are_positions_of_sorted_names_and_sizes_are_the_models(folder):
    x, y = image_folder.read(folder, spec(4, 8, 3)).whole()
    assert x.shape == (3, 4, 8, 3) and x.dtype == np.float32
    assert y.tolist() == [0, 0, 1]
    assert x[:, 0, 0].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]


@pytest.mark.parametrize("channels", [1, 4])
def test_images_have_the_channels_of_the_model(folder, channels):
    x, _ = image_folder.read(folder, spec(4, 8, channels)).whole()
    assert x.shape == (3, 4, 8, channels)
    assert x[2, 0, 0].tolist() == ([76] if channels == 1 else [255, 0, 0, 255])


def test_images_in_the_folder_itself_have_no_labels(folder):
    x, y = image_folder.read(folder / "ant", spec(2, 2, 3)).whole()
    assert len(x) == 2 and y is None


def test_only_the_images_that_are_asked_for_are_decoded(folder):
    (folder / "ant" / "1.PNG").write_bytes(b"broken")
    source = image_folder.read(folder, spec(4, 4, 3))
    assert len(source.spread(2)[0]) == 2
    with pytest.raises(InvalidArgumentError, match="1.PNG"):
        source.whole()


@pytest.mark.parametrize("shape", [(4, 4), (None, 4, 3), (4, 4, 2)])
def test_a_model_that_takes_no_images_is_refused(folder, shape):
    with pytest.raises(InvalidArgumentError, match="one input of fixed size"):
        image_folder.read(folder, spec(*shape))
    with pytest.raises(InvalidArgumentError, match="unknown model"):
        image_folder.read(folder, None)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="without any"):
        image_folder.read(tmp_path, spec(4, 4, 3))


def test_pillow_is_asked_for_in_words(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackageError, match="pip install Pillow"):
        image_folder.read(folder, spec(4, 4, 3))
