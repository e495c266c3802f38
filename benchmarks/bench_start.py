"""How long until the first map: imports, kernels compiled, kernels from the cache."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from . import fresh
from .settings import one_size, settings

IMPORTS = 3 if settings.quick else 11
EMPTY = 1 if settings.quick else 3
WARM = 2 if settings.quick else 7


class Import:
    """Seconds of `import ittisal` and of `import numpy`: medians of fresh processes in turn."""

    def setup(self) -> None:
        """Take all the times."""
        modules = ("numpy", "ittisal")
        for module in modules:  # files into the page cache, bytecode written
            fresh.call("import_time", module)
        taken: dict[str, list[float]] = {module: [] for module in modules}
        for _ in range(IMPORTS):
            for module in modules:
                taken[module].append(fresh.call("import_time", module)["seconds"])
        self.median = {module: statistics.median(each) for module, each in taken.items()}

    def track_numpy(self) -> float:
        """`import numpy` alone."""
        return self.median["numpy"]

    def track_ittisal(self) -> float:
        """`import ittisal` alone, NumPy included."""
        return self.median["ittisal"]

    def track_more_than_numpy(self) -> float:
        """The difference of the two medians."""
        return self.median["ittisal"] - self.median["numpy"]

    track_numpy.unit = track_ittisal.unit = track_more_than_numpy.unit = "s"


class FirstCall:
    """Seconds for the first model and map beyond the imports (numpy, numba, ittisal).

    Medians of fresh processes: each with an empty cache folder, then one folder again and again.
    """

    param_names = ("size",)
    params = (one_size("640x480"),)

    def setup(self, size: str) -> None:
        """Run all the processes."""
        with tempfile.TemporaryDirectory() as folder:
            runs = [self._run(size, os.path.join(folder, str(i))) for i in range(EMPTY)]
            self.empty = runs
            self.warm = [self._run(size, os.path.join(folder, "0")) for _ in range(WARM)]
            kept = [path for path in Path(folder, "0").rglob("*") if path.is_file()]
            self.cache = sum(path.stat().st_size for path in kept) / fresh.MEBI

    def track_empty_cache(self, size: str) -> float:
        """First map with every kernel to compile."""
        return statistics.median(run["first"] for run in self.empty)

    def track_warm_cache(self, size: str) -> float:
        """First map with every kernel in the cache."""
        return statistics.median(run["first"] for run in self.warm)

    def track_imports(self, size: str) -> float:
        """numpy, numba and ittisal together."""
        return statistics.median(run["imports"] for run in self.warm)

    def track_second_call(self, size: str) -> float:
        """The frame after the first."""
        return statistics.median(run["second"] for run in self.warm)

    def track_cache_size(self, size: str) -> float:
        """What one model leaves on disk."""
        return self.cache

    track_empty_cache.unit = track_warm_cache.unit = track_imports.unit = "s"
    track_second_call.unit = "s"
    track_cache_size.unit = "MiB"

    def _run(self, size: str, folder: str) -> dict:
        return fresh.call("first_call", size, ITTISAL_CACHE_DIR=folder, NUMBA_CACHE_DIR=folder)
