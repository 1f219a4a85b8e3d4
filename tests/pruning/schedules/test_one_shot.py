from keras_compress.pruning.schedules.one_shot import OneShot


def test_prunes_once():
    schedule = OneShot(0.7, step=12)
    assert [step for step in range(1000) if schedule.should_update(step)] == [12]
    assert [schedule(step) for step in (0, 11, 12, 999)] == [0.0, 0.0, 0.7, 0.7]
