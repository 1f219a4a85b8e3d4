import pytest

from keras_compress.edge_profiles import remedies
from keras_compress.edge_profiles.limits.registry import LIMITS


@pytest.mark.parametrize(
    ("operator", "limit", "words"),
    [
        ("TILE", "unsupported", "keras.ops.image.resize"),
        ("AVERAGE_POOL_2D", "activations", "before the AveragePooling2D"),
        ("PRELU", "alpha_per_channel", "shared_axes=[1, 2]"),
        ("HARD_SWISH", "unsupported", "ReLU6"),
        ("SHAPE", "unsupported", "batch_size=1"),
        ("ADD", "types", "representative"),
        ("MEAN", "max_batch", "batch at 1"),
        ("GELU", "some_new_limit", "ReLU"),
        ("NO_SUCH", "no_such", "Replace the layer"),
    ],
)
def test_known_traps_have_their_remedy(operator, limit, words):
    assert words in remedies.remedy(operator, limit)


def test_remedies_name_limits_that_exist():
    known = {*LIMITS, "unsupported"}
    named = {limit for _, limit in remedies._BY_OPERATOR_AND_LIMIT} | set(remedies._BY_LIMIT)
    assert named <= known
