"""Going far into a file without decoding what comes before, and knowing which frame that is.

Containers are sought by time, to a key frame, and do not say what number it has. So the packets up
to there are read, which is quick, and counted by their times.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

NEAR = 250  # frames that are sooner decoded than sought past
REORDERED = 64  # packets that may still come with earlier times; codecs allow 16


def sought(
    container: Any, first: int, start: float, decoded: Callable[[Any], Iterator[Any]]
) -> tuple[int, Iterator[Any]] | None:
    """Frames of a container from a key frame on, and how many come before; None if not sure.

    Parameters
    ----------
    container : av.container.InputContainer
        Freshly opened; of no use if the answer is None.
    first, start : int, float
        The key frame is at or before frame number `first`, or the first one shown `start` seconds
        after the stream's start, whichever is later.
    decoded : callable
        Makes the frames of a container.
    """
    stream = container.streams.video[0]
    if stream.time_base is None:
        return None
    origin = (stream.start_time or 0) + (0 if start < 0 else start / float(stream.time_base))
    shown: list[int] = []
    keys: list[int] = []
    beyond = 0
    for packet in container.demux(stream):
        if packet.is_discard or packet.size == 0:
            continue
        if packet.pts is None:
            return None
        shown.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
        beyond += len(shown) > first + 1 and packet.pts >= origin
        if beyond > REORDERED:
            break
    shown.sort()
    target = min(max(first, bisect_left(shown, origin)), len(shown) - 1)
    if target < NEAR or len(set(shown)) < len(shown):
        return None
    # One key frame more than needed: what follows the last in order may need the one before.
    usable = sorted(key for key in keys if key <= shown[target])[:-1]
    if not usable or bisect_left(shown, usable[-1]) < NEAR // 2:
        return None
    container.seek(usable[-1], stream=stream, backward=True)
    frames = decoded(container)
    begun = list(itertools.islice(frames, 2))
    if len(begun) < 2 or any(getattr(frame, "pts", None) is None for frame in begun):
        return None
    passed = bisect_left(shown, begun[0].pts)
    if passed > target or [frame.pts for frame in begun] != shown[passed : passed + 2]:
        return None
    return passed, itertools.chain(begun, frames)
