"""How long until the first map: imports, kernels compiled, kernels from the store."""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from . import fresh
from .settings import one_size, settings

IMPORTS = 1 if settings.quick else 11
EMPTY = 1 if settings.quick else 3
WARM = 1 if settings.quick else 7
SPEED = 1 if settings.quick else 5
# Preset, channel order, dtype, channels of the frame.
CASES = {
    "nothing": ("itti1998", "rgb", "uint8", 3),
    "then bgr": ("itti1998", "bgr", "uint8", 3),
    "then video": ("video", "rgb", "uint8", 3),
    "then gaze": ("gaze", "rgb", "uint8", 3),
    "then float32": ("itti1998", "rgb", "float32", 3),
    "then grey": ("itti1998", "rgb", "uint8", 1),
    "again": ("itti1998", "rgb", "uint8", 3),
}


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


class FirstMap:
    """Seconds from having NumPy to the first map: `import ittisal` and kernels in between.

    Medians of fresh processes. Each line starts with the kernels that the lines above have left:
    `itti1998` of RGB bytes with nothing kept; then as the name says; then as the first again.
    """

    param_names = ("size", "kept")
    params = (one_size("640x480"), tuple(CASES))

    folder: tempfile.TemporaryDirectory | None = None

    def setup(self, size: str, kept: str) -> None:
        """Run all the processes, each with its own copy of what the last line left."""
        if FirstMap.folder is None or kept == next(iter(CASES)):
            FirstMap.folder = tempfile.TemporaryDirectory()
        self.runs: dict[str, list[dict]] = {"here": [], "there": []}
        for _ in range(WARM if kept == "again" else EMPTY):
            self._run("here", size, kept, str(fresh.ROOT))
            if settings.against:
                self._run("there", size, kept, settings.against)
        for version in self.runs:
            base = Path(FirstMap.folder.name, version)
            if base.with_suffix(".new").exists():
                shutil.rmtree(base, ignore_errors=True)
                base.with_suffix(".new").rename(base)
        left = [path for path in Path(FirstMap.folder.name, "here").rglob("*") if path.is_file()]
        self.left = sum(path.stat().st_size for path in left) / fresh.MEBI

    def track_first_map(self, size: str, kept: str) -> float:
        """From having NumPy."""
        return self._median("here", "first")

    def track_second_map(self, size: str, kept: str) -> float:
        """The frame after the first."""
        return self._median("here", "second")

    def track_left(self, size: str, kept: str) -> float:
        """What is on disk then."""
        return self.left

    def track_first_map_against(self, size: str, kept: str) -> dict[str, float]:
        """The other version's first map."""
        return {"against": self._median("there", "first")} if settings.against else {}

    def track_of_that(self, size: str, kept: str) -> dict[str, float]:
        """The first map of this version over that of the other."""
        if not settings.against:
            return {}
        return {"of that": self._median("here", "first") / self._median("there", "first")}

    track_first_map.unit = track_second_map.unit = track_first_map_against.unit = "s"
    track_left.unit = "MiB"

    def _run(self, version: str, size: str, kept: str, checkout: str) -> None:
        base = Path(FirstMap.folder.name, version)
        copy = base.with_suffix(".new")
        shutil.rmtree(copy, ignore_errors=True)
        if base.exists():
            shutil.copytree(base, copy)
        environment = {"ITTISAL_CACHE_DIR": str(copy), "NUMBA_CACHE_DIR": str(copy)}
        found = fresh.call("first_map", size, *CASES[kept], checkout, **environment)
        self.runs[version].append(found)

    def _median(self, version: str, name: str) -> float:
        return statistics.median(run[name] for run in self.runs[version])


class Prebuilt:
    """A process that loads prebuilt kernels and compiles nothing: first map, memory, speed.

    Medians of fresh processes, each beyond having NumPy, but for the speed: there it is the least
    time of a frame, of processes in turn with those that load kernels compiled for this CPU.
    `ittisal build` links the library: of x86-64-v3, or of any aarch64.
    """

    param_names = ("preset", "size")
    params = (("itti1998", "video"), settings.sizes)

    def setup(self, preset: str, size: str) -> None:
        """Build the library, and run the processes."""
        target = "x86-64-v3" if platform.machine().lower() in ("x86_64", "amd64") else "aarch64"
        with tempfile.TemporaryDirectory() as folder:
            words = ["build", "--target", target, "-o", folder, "--preset", preset]
            words += ["--dtype", "uint8", "--channel-order", "rgb"]
            command = [sys.executable, "-m", "ittisal", *words]
            done = subprocess.run(command, cwd=fresh.ROOT, capture_output=True, text=True)
            if done.returncode:
                raise NotImplementedError(done.stderr.strip())
            self.size = sum(path.stat().st_size for path in Path(folder).iterdir()) / fresh.MEBI
            environment = {"ITTISAL_KERNELS": folder, "ITTISAL_COMPILE": "never"}
            case = size, preset, "rgb", "uint8", 3, str(fresh.ROOT)
            self.runs = [fresh.call("first_map", *case, **environment) for _ in range(WARM)]
            case = size, preset, settings.seconds / SPEED
            kinds = {"prebuilt": environment, "compiled here": {}}
            turns = [
                {name: fresh.call("fastest", *case, **kinds[name])["ms"] for name in kinds}
                for _ in range(SPEED)
            ]
            self.least = {name: min(turn[name] for turn in turns) for name in kinds}

    def track_first_map(self, preset: str, size: str) -> float:
        """From having NumPy and the frame."""
        return statistics.median(run["first"] for run in self.runs)

    def track_resident(self, preset: str, size: str) -> float:
        """Resident memory after the second map, less that before `import ittisal`."""
        return statistics.median(run["resident"] for run in self.runs)

    def track_library(self, preset: str, size: str) -> float:
        """The library's size, with this preset's kernels for these frames."""
        return self.size

    def track_frame(self, preset: str, size: str) -> dict[str, float]:
        """The least time of a frame, by kind of kernels."""
        return self.least

    def track_speed(self, preset: str, size: str) -> float:
        """The time of the prebuilt over that of those compiled here."""
        return self.least["prebuilt"] / self.least["compiled here"]

    track_first_map.unit = "s"
    track_resident.unit = track_library.unit = "MiB"
    track_frame.unit = "ms"
    track_speed.unit = "of the time of kernels compiled here"
