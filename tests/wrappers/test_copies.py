from keras import layers

from keras_compress.wrappers.copies import LayerCopies


def test_an_added_layer_has_a_name_that_no_layer_of_the_model_has():
    """Keras counts names in a process; a loaded model may have any of them."""
    names = iter(["reshape", "reshape_1", "reshape_2", "reshape_2", "reshape_3"])
    copies = LayerCopies(reserved={"reshape", "reshape_1"})
    added = [copies.added(lambda: layers.Reshape((2,), name=next(names))) for _ in range(2)]
    assert [layer.name for layer in added] == ["reshape_2", "reshape_3"]
