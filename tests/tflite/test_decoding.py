from types import SimpleNamespace

import pytest

from keras_compress.errors import FlatbufferError
from keras_compress.tflite.decoding import decode_weights
from keras_compress.tflite.model import DECODE


def test_a_decode_without_its_tensors_is_refused():
    tensor = SimpleNamespace(index=4)
    operator = SimpleNamespace(name=DECODE, index=7, inputs=(None, None), outputs=(tensor,))
    with pytest.raises(FlatbufferError, match="two inputs for each output.* operator 7"):
        decode_weights(tensor, SimpleNamespace(producers={4: operator}))
