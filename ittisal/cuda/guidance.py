"""The caller's channels of the frames at hand, in device memory that recorded graphs may name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..channels import Channels, DeviceMap
from ..plan import Plan
from .device import Device
from .schedule import Launch, Launches

DEPTH = 2  # sets of maps from the host that may be under way


class Guidance:
    """Per frame, weighted maps that are added, then those that multiply.

    Parameters
    ----------
    device, plan
    release : callable
        Called before a buffer that has become too small is let go of.
    """

    def __init__(self, device: Device, plan: Plan, release: Callable[[], None]) -> None:
        self.device, self.plan, self.release = device, plan, release
        self.clear()
        self.maps: Any = device.zeros(1, np.float32)
        self.pinned = [np.empty(0, np.float32)] * DEPTH  # made when they are needed
        self.copied = [device.event() for _ in range(DEPTH)]
        self.turn = 0

    def clear(self) -> None:
        """There are none."""
        self.names: list[str] = []  # in order
        self.added = self.multiplied = 0

    def close(self) -> None:
        """Let go of all memory."""
        self.maps = None
        self.pinned.clear()

    def put(
        self, channels: Channels, schedule: Launches, scale: float, stream: Any
    ) -> list[tuple[Launch, Any]]:
        """Send maps from the host on their way to the device.

        `scale` is what 1 in an added map of weight 1 adds. Returns what is to be launched after
        that, each with its map, for those that lie on the device.
        """
        self.names = sorted(channels, key=lambda name: channels[name].how)
        self.added = sum(channel.how == "add" for channel in channels.values())
        self.multiplied = len(channels) - self.added
        shape = (schedule.frames, len(channels), *self.plan.map_shape)
        host, launches = self._next_pinned(math.prod(shape)).reshape(shape), []
        for slot, name in enumerate(self.names):
            channel = channels[name]
            weight = channel.weight * (scale if channel.how == "add" else 1.0)
            if isinstance(channel, DeviceMap):
                launch = schedule.channel(
                    whole_frame=channel.map.shape[-2:] == self.plan.shape,
                    each=channel.map.ndim == 3,
                    slot=slot,
                    slots=len(channels),
                    weight=weight,
                )
                launches.append((launch, channel.map))
            else:
                np.multiply(channel.map, weight, out=host[:, slot])
        if len(launches) < len(channels):
            target = self.device.address(self.maps)
            self.device.copy(target, host.ctypes.data, host.nbytes, stream)
            self.copied[self.turn].record(stream)
        return launches

    def of_frame(self, index: int) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """What each channel added to the sum of one of the last frames, by name, and the weighted
        maps of those that multiply.
        """
        shape = (len(self.names), *self.plan.map_shape)
        size = math.prod(shape)
        maps = self.device.on_host(self.maps[index * size : (index + 1) * size]).reshape(shape)
        maps = maps.copy()
        return dict(zip(self.names[: self.added], maps, strict=False)), [*maps[self.added :]]

    def _next_pinned(self, size: int) -> np.ndarray:
        """Pinned memory that nothing is copied from any more, and as much on the device."""
        if size > self.maps.size:
            self.release()
            self.maps = self.device.zeros(size, np.float32)
        self.turn = (self.turn + 1) % DEPTH
        self.device.wait(self.copied[self.turn])
        if size > self.pinned[self.turn].size:
            self.pinned[self.turn] = self.device.pinned((size,), np.float32)
        return self.pinned[self.turn][:size]
