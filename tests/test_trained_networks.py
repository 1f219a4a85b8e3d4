"""The trained networks that tests load are those that training gives."""

import keras
import numpy as np
import pytest

from tests.fixtures.trained import networks


@pytest.mark.parametrize("name", networks.TRAININGS)
def test_a_file_holds_all_weights_of_its_network_and_they_are_trained(name):
    model, untrained = networks.load(name), networks.TRAININGS[name].network()
    assert not all(map(np.array_equal, model.get_weights(), untrained.get_weights()))
    assert networks.score(name, model) > networks.TRAININGS[name].chance
    assert (networks.FOLDER / f"{name}.npz").stat().st_size < 100_000


@pytest.mark.verify("trains each network again")
@pytest.mark.parametrize("name", networks.TRAININGS)
def test_training_gives_a_network_that_answers_as_the_file_does(name):
    keras.utils.clear_session()
    expected = networks.score(name, networks.load(name))
    assert networks.score(name, networks.train(name)) == pytest.approx(
        expected, abs=networks.TRAININGS[name].spread
    )
