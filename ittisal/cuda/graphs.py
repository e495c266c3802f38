"""Recorded graphs of launches whose arguments come round again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

Run = Callable[[Any], None]  # launches kernels on a stream

MOST_GRAPHS = 16  # the rest, least recently used, are recorded anew if they come again
RECORDED_AT = 3  # times that a key comes: recording takes as long as many launches


class Graphs:
    """The few graphs used last, by keys that hold all that differs between them.

    An address in a key needs no owner: memory that is freed and handed out again has the same key
    and means the same.
    """

    def __init__(self, record: Callable[[Run], Run]) -> None:
        self.record = record
        self._known: OrderedDict[Hashable, Any] = OrderedDict()  # times it came, or its graph

    def launch(self, key: Hashable, stream: Any, run: Run, until: Run | None = None) -> None:
        """`run`, from a graph once the key has come often enough; before that `until`, if given."""
        known = self._known.get(key, 0)
        if isinstance(known, int):
            known = self.record(run) if known + 1 == RECORDED_AT else known + 1
            self._known[key] = known
            if len(self._known) > MOST_GRAPHS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        launch = (until or run) if isinstance(known, int) else known
        launch(stream)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
