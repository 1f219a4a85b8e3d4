"""The weights of groups as rows of an array, the layout that criteria expect."""

import numpy as np


class GroupRows:
    """Gathers the weights of each group in one set of coupled channels.

    Args:
        slots: The `Slot` objects to gather from.
        groups: Array of group numbers, in the order of the rows.
        size: Number of groups of the whole graph.
    """

    def __init__(self, slots, groups, size):
        row_of = np.full(size, -1)
        row_of[groups] = np.arange(len(groups))
        self.count = len(groups)
        self._parts = [
            (slot, _positions(row_of[slot.groups], len(groups)))
            for slot in slots
            if np.any(row_of[slot.groups] >= 0)
        ]

    def __bool__(self):
        return bool(self._parts)

    def gather(self, arrays):
        """Return an array (groups, elements) of the elements that belong to each group.

        Groups with fewer elements than others are filled up with zeros.

        Args:
            arrays: `{id(weight): array}`, each of its weight's shape.
        """
        parts = []
        for slot, places in self._parts:
            array = np.moveaxis(np.asarray(arrays[id(slot.weight)]), slot.axis, 0)
            array = array.reshape(len(array), -1)
            if np.any(places < 0):
                array = np.concatenate([array, np.zeros_like(array[:1])])
            parts.append(array[places].reshape(self.count, -1))
        return np.concatenate(parts, axis=1)


def _positions(rows, count):
    """Return the positions of each row, (count, most positions of a row), filled up with -1."""
    used = np.flatnonzero(rows >= 0)
    used = used[np.argsort(rows[used], kind="stable")]
    sizes = np.bincount(rows[used], minlength=count)
    starts = np.cumsum(sizes) - sizes
    places = np.full((count, sizes.max()), -1)
    places[rows[used], np.arange(len(used)) - starts[rows[used]]] = used
    return places
