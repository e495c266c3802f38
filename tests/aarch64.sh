#!/usr/bin/env bash
# The tests of all that runs on a CPU, as an ARM machine (AArch64) runs them, emulated by QEMU.
#
#   tests/aarch64.sh [-j JOBS] [-w FOLDER] [FILE ...]
#
#   -j JOBS     files at once (default: 2)
#   -w FOLDER   where all is kept from run to run (default: ~/.cache/ittisal-aarch64); 1.2 GB
#   FILE ...    of tests, as tests/test_golden.py (default: all of the CPU part, see LEFT_OUT)
#
# Needs an x86-64 machine with Debian's or Ubuntu's packages
#
#   mmdebstrap qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
#
# and `python3` with this package's test extra, for Python 3.11 or another. Neither root nor binfmt is
# needed. Fetched are a Debian root for arm64, unpacked and never entered, and wheels for aarch64 from
# PyPI, of the versions that `python3` has. The kernels of all models that the tests share are
# cross-compiled here, by `ittisal build`, into one library, which the emulated processes load. The
# rest, made up by single tests, LLVM compiles under emulation, some fifty times slower than here; it
# is kept for the next run.
#
# Each file has a log in FOLDER/logs; the last line of each is printed. Exit status 1 if any failed.
# QEMU_CPU chooses the core (default: max, all that QEMU knows): cortex-a53, cortex-a72, ...
set -euo pipefail

# What is left out, each with its reason. Tests that want g++ to make x86 objects, as the CUDA kernels
# on the host, are skipped by themselves, since no compiler is on the emulated PATH.
declare -A LEFT_OUT=(
    [test_cuda.py]="CUDA: a GPU, or its stand-in built by g++"
    [test_cuda_failures.py]="CUDA: a GPU, or its stand-in built by g++"
    [test_cuda_on_host.py]="CUDA: a GPU, or its stand-in built by g++"
    [test_cuda_programs.py]="CUDA: a GPU, or its stand-in built by g++"
    [test_cuda_time.py]="CUDA: a GPU, or its stand-in built by g++"
    [test_cupy.py]="CUDA: CuPy's wheel is not fetched"
    [test_kernels_compile.py]="CUDA: NVRTC's wheel is not fetched"
    [test_kernels_on_host.py]="CUDA: kernels built by g++"
    [test_late_device.py]="CUDA: kernels built by g++"
    [test_export_c.py]="C: a compiler for the machine itself; it cross-compiles for aarch64 by itself"
    [test_export_onnx.py]="ONNX: onnxruntime, no code of ours runs"
    [test_prebuilt.py]="builds libraries, with a compiler for the machine itself"
    [test_prebuilt_aarch64.py]="cross-compiles from x86, and emulates by itself"
    [test_packaging.py]="builds a wheel with packages from PyPI, the same one for every machine"
    [test_layers.py]="reads sources alone"
    [test_readmes.py]="reads documents, and runs their examples: those of all features at once"
    [test_benchmarks.py]="the benchmarks' own code, for GPUs and this machine's times"
    [test_fuzz.py]="the fuzz harness, whose limits of time are of a real machine"
)

root=$(cd "$(dirname "$0")/.." && pwd)
jobs=2
work=${XDG_CACHE_HOME:-$HOME/.cache}/ittisal-aarch64
while getopts j:w:h option; do
    case $option in
        j) jobs=$OPTARG ;;
        w) work=$OPTARG ;;
        h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
for tool in mmdebstrap qemu-aarch64 aarch64-linux-gnu-gcc python3; do
    [ -n "$(type -p "$tool")" ] || { echo "$0: $tool is not installed; see the top of this file" >&2; exit 2; }
done
mkdir -p "$work/bin" "$work/logs" "$work/store"
chmod 700 "$work/store"
work=$(cd "$work" && pwd)

# --- a root, and wheels ----------------------------------------------------------------------------

debian=$work/root
if [ ! -d "$debian" ]; then
    mmdebstrap --variant=extract --architectures=arm64 \
        --include=python3.11,libpython3.11-stdlib,libstdc++6,libgcc-s1,zlib1g bookworm "$debian.new"
    mv "$debian.new" "$debian"
fi
site=$work/site
if [ ! -d "$site" ]; then
    wanted=(opencv-contrib-python-headless) # of another version: not all have wheels for aarch64
    for package in numpy numba llvmlite scikit-image scipy pillow tifffile pytest tqdm av h5py matplotlib; do
        wanted+=("$package==$(python3 -c "from importlib.metadata import version; print(version('$package'))")")
    done
    python3 -m pip install --quiet --target "$site.new" --python-version 3.11 --only-binary=:all: \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux2014_aarch64 "${wanted[@]}"
    mv "$site.new" "$site"
fi
# As `sys.executable` too: the tests start Python by it.
cat >"$work/bin/python3" <<END
#!/bin/sh
exec $(type -p qemu-aarch64) -cpu "\${QEMU_CPU:-max}" -L $debian -0 $work/bin/python3 $debian/usr/bin/python3.11 "\$@"
END
chmod +x "$work/bin/python3"

# --- kernels ---------------------------------------------------------------------------------------

(cd "$root" && PYTHONPATH=$root:$root/tests:$root/tests/golden python3 - "$work/kernels" <<'END'
import sys

from make import CONFIGS as golden
from readings import FIVE, READINGS
from test_stages import EVERY

from ittisal.building import build
from ittisal.config import PRESETS

configs = dict.fromkeys([*PRESETS.values(), *READINGS.values(), FIVE, *EVERY.values(), *golden.values()])
configs = [config for config in configs if not config.normalise_before_reduction]  # reference only
built = build("aarch64", sys.argv[1], configs=configs)
print(f"{built.library}: {built.kernels} kernels, {built.compiled} of them compiled now")
END
)

# --- tests -----------------------------------------------------------------------------------------

if [ $# = 0 ]; then
    set -- ittisal # its doctests
    for file in "$root"/tests/test_*.py; do
        name=${file##*/}
        if [ -n "${LEFT_OUT[$name]:-}" ]; then
            echo "$name is left out: ${LEFT_OUT[$name]}"
        else
            set -- "$@" "tests/$name"
        fi
    done
fi
export work root
run_one() {
    local log start=$SECONDS status=0
    log=$work/logs/$(basename "$1" .py).log
    (
        cd "$root"
        env PATH="$work/bin" PYTHONHOME="$work/root/usr" PYTHONPATH="$root:$work/site" \
            ITTISAL_KERNELS="$work/kernels" ITTISAL_CACHE_DIR="$work/store" \
            "$work/bin/python3" -m pytest -p no:cacheprovider -p no:xdist \
            -o addopts="--doctest-modules --strict-markers --strict-config -ra" "$1"
    ) >"$log" 2>&1 || status=$?
    echo "$1: $(tail -n 1 "$log" | tr -d =) [$((SECONDS - start)) s]"
    return $status
}
export -f run_one
printf '%s\n' "$@" | xargs -P "$jobs" -I '{}' bash -c 'run_one {}'
