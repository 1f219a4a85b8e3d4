from keras_compress.support.progress_bar import ProgressBar


def test_shown_on_request(capsys):
    with ProgressBar("Calibrating", show=True) as bar:
        bar.update(0, 0)
        bar.update(3, 10)
        bar.update(10, 10)
    assert "Calibrating" in capsys.readouterr().err


def test_silent_where_nobody_watches(capsys):
    with ProgressBar("Calibrating") as bar:
        bar.update(3, 10)
    assert capsys.readouterr().err == ""
