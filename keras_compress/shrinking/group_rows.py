"""The weights of groups as rows of arrays, as criteria want them."""

import numpy as np


class GroupRows:
    """Gathers for the groups of one set of coupled channels the weights that go with each.

    Args:
        slots: The `Slot` objects to gather from.
        groups: Array of group numbers: the rows, in this order.
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
        """Return an array (groups, elements) of what hangs on each group.

        Args:
            arrays: `{id(weight): array}`, each of its weight's shape. Where groups have unequal
                numbers of elements, zeros stand for what is missing.
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
    """Return an array (count, most positions of one row) of positions, -1 where there is none."""
    used = np.flatnonzero(rows >= 0)
    used = used[np.argsort(rows[used], kind="stable")]
    sizes = np.bincount(rows[used], minlength=count)
    starts = np.cumsum(sizes) - sizes
    places = np.full((count, sizes.max()), -1)
    places[rows[used], np.arange(len(used)) - starts[rows[used]]] = used
    return places
