"""Machine code for GPUs that a wheel brings: all that models ask for, loaded without NVRTC."""

from __future__ import annotations

import hashlib
import shutil
import sys
from itertools import product
from pathlib import Path

import pytest
from test_cuda_failures import Gpu, forget

from ittisal import BackendError, Saliency, cuda
from ittisal.config import GAZE, ITTI_1998, PRESETS
from ittisal.cuda import archive, compiler, installation, prebuilt
from ittisal.cuda.compiler import Compiled, Job
from ittisal.cuda.layout import make_layout
from ittisal.cuda.programs import programs
from ittisal.cuda.variant import BITS
from ittisal.pipeline import FrameFormat
from ittisal.plan import Plan

FORMATS = list(product(BITS, (1, 3)))
ORDERS = ("rgb", "bgr")


class NoCompiler:
    """NVRTC that fails, whatever is asked of it."""

    def __getattr__(self, name):
        raise OSError(f"libnvrtc.so.12 is not there: {name}")


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A GPU of compute capability 9.0 that has CuPy, but no NVRTC, and an empty store."""
    monkeypatch.setenv("ITTISAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(installation, "_has_driver", lambda: True)
    fake = Gpu()
    fake.cupy.cuda.nvrtc = NoCompiler()
    monkeypatch.setitem(sys.modules, "cupy", fake.cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", fake.cupy.cuda)
    forget()
    yield fake
    forget()


def digest(given):
    return hashlib.sha256(repr(given).encode()).digest()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Of all presets' jobs for a few GPUs; machine code is a digest of what would be compiled."""
    there = [f"sm_{each}" for each in (80, 90, 120)]
    jobs = cuda.jobs(PRESETS.values(), FORMATS, ORDERS, [*there, "compute_120"])
    folder = tmp_path_factory.mktemp("archives") / "prebuilt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "compile_text", lambda *given: Compiled(digest(given), b"", ""))
        written = cuda.prebuild(jobs, folder)
    assert {path.name for path in written} == {f"{each}.tar.xz" for each in (*there, "compute_120")}
    assert set(written) == set(folder.iterdir())
    return folder


@pytest.fixture
def brought(archives, monkeypatch, tmp_path):
    """The package's folder of archives."""
    folder = Path(shutil.copytree(archives, tmp_path / "prebuilt"))
    monkeypatch.setattr(prebuilt, "FOLDER", folder)
    return folder


def code_of(job):
    return digest((job.text, job.options, job.architecture))


@pytest.mark.parametrize("preset", PRESETS)
def test_models_are_made_without_the_compiler(gpu, brought, preset):
    assert installation.probe()[1].endswith("CuPy 14.2.0, kernels prebuilt for sm_90")
    with Saliency((64, 64), PRESETS[preset], backend="cuda") as model:
        assert model.backend == "cuda"
    wanted = {code_of(job) for job in cuda.jobs([PRESETS[preset]], FORMATS, ORDERS, ["sm_90"])}
    assert gpu.loaded and set(gpu.loaded) <= wanted
    assert compiler.count() == 0


@pytest.mark.parametrize("shape", [(32, 32), (33, 600), (283, 284), (2160, 3840)], ids=str)
def test_frames_of_every_size_find_theirs(brought, shape):
    there = prebuilt.objects("sm_90")
    for config, order, format_ in product(PRESETS.values(), ORDERS, FORMATS):
        layout = make_layout(Plan(shape, config))
        for unit, options in programs(layout, order, FrameFormat(*format_)):
            job = Job(unit.name, unit.text, options, "sm_90")
            assert there[compiler.key(job)] == code_of(job)


def test_which_machine_code_a_gpu_takes(gpu, brought):
    """Its own, or that of the first of its generation; PTX, where all are older."""
    taken = {each: compiler.architecture(each) for each in (80, 86, 90, 120, 121, 130)}
    assert taken == {
        **{80: "sm_80", 86: "sm_80", 90: "sm_90"},
        **{120: "sm_120", 121: "sm_120", 130: "compute_120"},
    }
    for architecture in set(taken.values()):
        assert len(prebuilt.objects(architecture)) > 100


def test_without_the_package_or_the_compiler_there_is_no_backend(gpu):
    with pytest.raises(BackendError, match="NVRTC, which compiles the kernels, cannot be loaded"):
        Saliency((64, 64), backend="cuda")


def test_the_store_comes_first_and_the_compiler_last(gpu, brought, monkeypatch):
    [job, *_] = cuda.jobs([ITTI_1998], architectures=["sm_90"])
    assert cuda.build(job) == code_of(job)
    other = job._replace(options=(*job.options, "-DOTHER=1"))
    with pytest.raises(BackendError, match="NVRTC"):
        cuda.build(other)
    monkeypatch.setattr(compiler, "compile_text", lambda *job: Compiled(b"compiled", b"", ""))
    monkeypatch.setenv("ITTISAL_COMPILE", "never")
    with pytest.raises(BackendError, match=r"opponency.cu would .* sm_90.*ITTISAL_COMPILE=never"):
        cuda.build(other._replace(name="opponency.cu"))
    monkeypatch.delenv("ITTISAL_COMPILE")
    assert cuda.build(other) == b"compiled"
    compiler.compile_and_keep(job)
    assert cuda.build(job) == b"compiled"


def test_what_the_driver_refuses_is_compiled(gpu, brought, monkeypatch):
    jobs = cuda.jobs([GAZE], FORMATS, ORDERS, ["sm_90"])
    gpu.refused = {code_of(job) for job in jobs}
    monkeypatch.setattr(compiler, "compile_text", lambda *job: Compiled(b"compiled", b"", ""))
    with Saliency((64, 64), GAZE, backend="cuda"):
        assert b"compiled" in gpu.loaded


@pytest.mark.parametrize("damage", [b"", b"not an archive", None], ids=["empty", "other", "cut"])
def test_a_damaged_archive_is_no_archive(brought, damage):
    path = brought / "sm_90.tar.xz"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert prebuilt.objects("sm_90") == {}


def test_an_archive_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="cannot be written to"):
        cuda.prebuild([], tmp_path / "file")


def test_machine_code_is_the_compilers(tmp_path):
    pytest.importorskip("cupy")
    [*jobs] = (
        job
        for job in cuda.jobs([ITTI_1998], architectures=["sm_90", "compute_90"])
        if job.name == "upsample.cu"
    )
    cuda.prebuild(jobs, tmp_path)
    for job in jobs:
        code = prebuilt._read(prebuilt.path(job.architecture, tmp_path))[compiler.key(job)]
        assert code == compiler.compile_text(job.text, job.options, job.architecture).code
