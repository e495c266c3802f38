"""Instructions of a frame by target, counted by QEMU, ARM beside x86: counts, not times."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import ittisal

from .frames import photograph
from .settings import one_size, settings, shape_of

PRESETS = ("itti1998", "video", "gaze")
TARGETS = {  # target -> its architecture, and the emulated core
    "x86-64-v2": ("x86_64", "max"),
    "x86-64-v3": ("x86_64", "max"),
    "aarch64": ("aarch64", "cortex-a53"),
    "cortex-a53": ("aarch64", "cortex-a53"),
    "cortex-a72": ("aarch64", "cortex-a72"),
    "cortex-a76": ("aarch64", "cortex-a76"),
}
BASELINE = "x86-64-v3"
FRAMES = 3  # the last is counted: `video` compares it with those before
STEP = 4  # pixels by which the picture moves

# Adds up the instructions of all blocks of code that run. What is declared is in QEMU itself, whose
# header Debian does not ship.
PLUGIN = """
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

struct qemu_plugin_tb;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(
    uint64_t id, void (*)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(
    struct qemu_plugin_tb *, void (*)(unsigned, void *), int flags, void *);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*)(uint64_t, void *), void *);

int qemu_plugin_version = 1;
static uint64_t count;

static void runs(unsigned cpu, void *instructions) { count += (uintptr_t)instructions; }

static void translated(uint64_t id, struct qemu_plugin_tb *block) {
    uintptr_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, runs, 0, (void *)instructions);
}

static void ends(uint64_t id, void *data) { fprintf(stderr, "%" PRIu64 "\\n", count); }

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ends, 0);
    return 0;
}
"""

# Maps of the first N frames of a file, all of which is read in any case.
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include "ittisal.h"

int main(int argc, char **argv) {
    ittisal_options options;
    ittisal *model;
    int height, width, count = atoi(argv[2]), frame, status;
    if (ittisal_variant(0, &options) || (status = ittisal_create(&options, &model))) return 2;
    ittisal_map_size(model, &height, &width);
    size_t row = (size_t)options.width * 3, size = row * (size_t)options.height;
    unsigned char *frames = malloc(FRAMES * size);
    float *map = malloc((size_t)height * (size_t)width * sizeof *map);
    FILE *file = fopen(argv[1], "rb");
    if (!frames || !map || !file || fread(frames, size, FRAMES, file) != FRAMES) return 3;
    for (frame = 0; frame < count; frame++)
        if (ittisal_run(model, frames + (size_t)frame * size, row, 1 / 30.0, map,
                        (size_t)width * sizeof *map))
            return 4;
    return 0;
}
"""


class Instructions:
    """Instructions of one frame after two others, on one thread, in millions: counts, not times.

    A program of the exported C library runs under QEMU's user-mode emulation, whose plugin counts
    the instructions of all three frames and of two; the difference is shown. Vectors have 16 bytes
    on ARM and with x86-64-v2, 32 with x86-64-v3. Cores differ in how many instructions they do at
    once, so nothing follows from this for how long a frame takes.
    """

    param_names = ("size", "preset")
    params = (one_size("640x480"), PRESETS)

    def setup(self, size: str, preset: str) -> None:
        """Export, compile, run and count."""
        if settings.backend != "cpu":
            raise NotImplementedError("of the CPU backend alone")
        names = {name for arch, _ in TARGETS.values() for name in (f"qemu-{arch}", _compiler(arch))}
        missing = sorted(name for name in {"cc", *names} if shutil.which(name) is None)
        if missing:
            raise NotImplementedError(f"not installed: {', '.join(missing)}")
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            picture = photograph(size)
            moved = [np.roll(picture, STEP * number, axis=1) for number in range(FRAMES)]
            (here / "frames").write_bytes(b"".join(frame.tobytes() for frame in moved))
            (here / "plugin.c").write_text(PLUGIN)
            (here / "program.c").write_text(PROGRAM)
            _run("cc", "-O2", "-shared", "-fPIC", here / "plugin.c", "-o", here / "plugin.so")
            self.counts = {
                target: _count(here, target, shape_of(size), preset) for target in TARGETS
            }

    def track_instructions(self, *params: object) -> dict[str, float]:
        """Of a frame, by target."""
        return {target: count / 1e6 for target, count in self.counts.items()}

    def track_ratios(self, *params: object) -> dict[str, float]:
        """The same, of those of the baseline."""
        baseline = self.counts[BASELINE]
        return {
            f"{target} of {BASELINE}": count / baseline
            for target, count in self.counts.items()
            if target != BASELINE
        }

    track_instructions.unit = "million instructions"


def _compiler(architecture: str) -> str:
    return f"{architecture}-linux-gnu-gcc"


def _count(here: Path, target: str, shape: tuple[int, int], preset: str) -> int:
    """Instructions of the last frame."""
    architecture, core = TARGETS[target]
    library, program = here / target, here / f"{target}.program"
    configs = {preset: ittisal.preset(preset)}
    ittisal.export_library(library, configs, [shape], pixels=["bgr"], target=target)
    _run(
        *(_compiler(architecture), "-O2", "-static", f"-DFRAMES={FRAMES}", here / "program.c"),
        *("-I", library / "include", library / "lib" / "libittisal.a", "-lm", "-o", program),
    )
    emulated = (f"qemu-{architecture}", "-cpu", core, "-plugin", here / "plugin.so", program)
    fewer, all_ = (int(_run(*emulated, here / "frames", n)) for n in (FRAMES - 1, FRAMES))
    return all_ - fewer


def _run(*command: object) -> str:
    """What a command says on standard error; RuntimeError if it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: status {done.returncode}: {done.stderr[-2000:]}")
    return done.stderr
