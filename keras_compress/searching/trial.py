"""One recipe that a search tried, and its result."""

import dataclasses
from typing import cast

from keras_compress.compression.recipe import Recipe
from keras_compress.searching.objectives import Objectives

# The number of plain quantization, which is measured before Optuna's trials.
PLAIN = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One recipe that was tried.

    Args:
        number: Its number in Optuna's study; -1 is plain quantization without training.
        recipe: Its `Recipe`.
        state: `"complete"`, `"stopped"` (others of its generation were better), `"too large"`
            (its file broke a constraint before any training) or `"failed"`.
        epochs: Epochs that it was trained for.
        accuracy: On the validation data, in Keras where there is no file yet.
        objectives: Figures of its file, `None` where it failed; of a trial that was not
            completed those of the file before training.
        seconds: Time that it took.
        folder: Where its files are.
        error: Why it failed.
    """

    number: int
    recipe: Recipe
    state: str
    epochs: int = 0
    accuracy: float | None = None
    objectives: Objectives | None = None
    seconds: float = 0.0
    folder: str = ""
    error: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether it was trained to the end and measured."""
        return self.state == "complete"

    @property
    def is_plain(self) -> bool:
        """Whether it is plain quantization, which no sampler asked for."""
        return self.number == PLAIN

    @property
    def name(self) -> str:
        """Its number in words."""
        return "plain" if self.is_plain else str(self.number)

    @property
    def latest_objectives(self) -> Objectives:
        """Figures of its first file with the accuracy that it has now.

        Bytes and time are the recipe's, whatever training does.
        """
        measured = cast(Objectives, self.objectives)  # before any training
        return dataclasses.replace(measured, accuracy=cast(float, self.accuracy))

    def to_json(self) -> dict:
        """Return the fields as a dictionary that `json.dumps` takes."""
        objectives = self.objectives and self.objectives.to_json()
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "recipe": self.recipe.to_json(), "objectives": objectives}
