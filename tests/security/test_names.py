"""Names that a C or C++ compiler would take for something else are refused."""

import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.exporting.micro.firmware import build_firmware

REFUSED = "NULL EOF INT8_MAX M_PI SIZE_MAX MODEL assert errno linux unix stdout offsetof main int"


@pytest.mark.parametrize("name", REFUSED.split())
def test_a_name_that_headers_define_is_no_name_of_a_firmware(classifier, name):
    with pytest.raises(InvalidArgumentError, match="neither a keyword nor a name"):
        build_firmware(classifier(), name)
