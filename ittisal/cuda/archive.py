"""Compiles kernels for GPUs into the archives that a wheel brings; no GPU is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from ..files import write_whole
from ..pipeline import BackendError
from . import prebuilt
from .compiler import Job, compile_text, key


def prebuild(jobs: Iterable[Job], folder: Path) -> list[Path]:
    """See `ittisal.cuda.prebuild`."""
    ordered = sorted(jobs, key=lambda job: (job.architecture, job.name, job.options))
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for architecture, group in groupby(ordered, key=lambda job: job.architecture):
                its = list(group)
                objects = dict(zip(map(key, its), pool.map(_compiled, its), strict=True))
                written.append(prebuilt.path(architecture, folder))
                write_whole(written[-1], prebuilt.pack(objects))
    except OSError as error:
        raise BackendError(f"{folder} cannot be written to: {error.strerror}") from error
    return written


def _compiled(job: Job) -> bytes:
    return compile_text(job.text, job.options, job.architecture).code
