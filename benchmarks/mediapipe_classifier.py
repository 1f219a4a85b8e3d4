"""Classify images with MediaPipe's own ImageClassifier, on files that `add_metadata` has made.

    python benchmarks/mediapipe_classifier.py [PYTHON]

PYTHON is an interpreter of an environment with `mediapipe`; without it one is made in a temporary
folder (about 650 MB, some minutes). A small network that tells red, green and blue images apart is
converted with a uint8 input and as float; MediaPipe must name the colour, and its scores must be
LiteRT's. The exit code is 1 where they are not.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

PACKAGE = "mediapipe==1.2.2"
COLOURS = ("red", "green", "blue")

CLASSIFY = """
import json, sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks import python
from mediapipe.tasks.python import vision

images = np.load(sys.argv[1])
found = {}
for path in sys.argv[2:]:
    options = vision.ImageClassifierOptions(
        base_options=python.BaseOptions(model_asset_path=path), max_results=3)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        found[path] = []
        for image in images:
            result = classifier.classify(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
            categories = result.classifications[0].categories
            found[path].append({c.category_name: c.score for c in categories})
print(json.dumps({"version": mp.__version__, "found": found}))
"""


def network():
    """A network that answers with the softmax of an image's mean colour."""
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3), batch_size=1, name="image")
    x = layers.Conv2D(3, 1, use_bias=False, name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    model = keras.Model(image, layers.Softmax(name="scores")(x))
    model.get_layer("conv").set_weights([4 * np.eye(3).reshape(1, 1, 3, 3)])
    return model


def pictures():
    """Uint8 images of the three colours, with noise."""
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (9, 16, 16, 3))
    for number, image in enumerate(images):
        image[..., number % 3] += 180
    return images.astype(np.uint8)


def write_files(folder):
    """Write the classifier for a uint8 and for a float input; return name -> path."""
    import keras_compress as kc
    from keras_compress.exporting.android import add_metadata

    model = network()
    # Noise in the calibration: all values of a pixel occur.
    samples = np.random.default_rng(1).uniform(0, 1, (100, 16, 16, 3)).astype(np.float32)
    whole = kc.convert(model, "generic_int8", samples, input_type="uint8", output_type="uint8")
    real = kc.convert(model, "android_gpu")
    made = {
        "uint8": add_metadata(whole, labels=COLOURS, name="colours"),
        "float32": add_metadata(real, labels=COLOURS, mean=0, std=255, name="colours"),
    }
    return {name: each.save(Path(folder) / f"{name}.tflite") for name, each in made.items()}


def litert(path, images):
    """Return the scores of LiteRT, image by image."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    [source], [result] = interpreter.get_input_details(), interpreter.get_output_details()
    scores = []
    for image in images:
        fed = image if source["dtype"] == np.uint8 else np.float32(image) / 255
        interpreter.set_tensor(source["index"], fed[None])
        interpreter.invoke()
        scale, zero_point = result["quantization"]
        raw = interpreter.get_tensor(result["index"])[0].astype(np.float32)
        scores.append((raw - zero_point) * scale if scale else raw)
    return np.array(scores)


def environment(folder):
    """Make an environment with MediaPipe and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = Path(folder) / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
    return python


def compare(python, folder):
    """Return what MediaPipe and LiteRT say of the same images, per kind of input."""
    images = pictures()
    np.save(Path(folder) / "images.npy", images)
    paths = write_files(folder)
    command = [python, "-c", CLASSIFY, Path(folder) / "images.npy", *paths.values()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    said = json.loads(done.stdout.splitlines()[-1])
    report = {"mediapipe": said["version"], "images": len(images)}
    for kind, path in paths.items():
        scores = np.array([[c[name] for name in COLOURS] for c in said["found"][str(path)]])
        report[kind] = {
            "named_right": int((scores.argmax(1) == np.arange(len(images)) % 3).sum()),
            "largest_difference_to_litert": float(np.abs(scores - litert(path, images)).max()),
        }
    return report


def main(python=None):
    """Print the comparison; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = compare(python or environment(Path(folder) / "venv"), folder)
    print(json.dumps(report, indent=2))
    kinds = [report[kind] for kind in ("uint8", "float32")]
    right = all(kind["named_right"] == report["images"] for kind in kinds)
    return 0 if right and all(k["largest_difference_to_litert"] < 1e-5 for k in kinds) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
