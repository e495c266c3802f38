"""The coarser levels of the planes, one after the other, since each needs the one before."""

from __future__ import annotations

from .. import rows as r
from .downsample import clear, downsample_arena
from .task import stream

pyramid = stream({r.CLEAR: clear, r.DOWNSAMPLE: downsample_arena})
