"""Who may import whom: the house rules, read from the source and tried in fresh processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ittisal

PACKAGE = Path(ittisal.__file__).parent
ROOT = Path(__file__).parents[1]
STANDARD = set(sys.stdlib_module_names) | {"tomli"}  # tomli is tomllib before Python 3.11

# Module (or folder) -> what it may import: ours by name within the package, then others'.
LAYERS = {
    "__init__": (
        "_version attention backends channels config datasets evaluation export faces gradients "
        "imagefiles levels maps metrics model pipeline readout video",
        "",
    ),
    "__main__": ("cli", ""),
    "_version": ("", ""),
    "allocator": ("", "numpy"),
    "arrayfiles": ("", "numpy"),
    # OpenCV inside functions only.
    "attention": (
        "attention config drawing features frames maps model pipeline sampling",
        "numpy cv2",
    ),
    "backends": ("config pipeline plan warning", ""),
    "bounds": ("", ""),
    "building": ("config cpu frames pipeline", ""),
    "channels": ("features frames sampling", "numpy"),
    "config": ("documents features", ""),
    "documents": ("", ""),
    # OpenCV and SciPy inside functions only.
    "datasets": ("arrayfiles datasets documents files imagefiles", "numpy cv2 scipy"),
    # OpenCV inside functions only.
    "diagnostics": ("", "cv2"),
    # OpenCV, SciPy, matplotlib, h5py and pysaliency inside functions only.
    "evaluation": (
        "arrayfiles bounds channels config datasets documents evaluation files imagefiles maps "
        "metrics model sampling",
        "numpy cv2 scipy matplotlib h5py pysaliency",
    ),
    # onnx inside functions only.
    "export": (
        "_version building config cpu export features files frames gabor native pipeline plan "
        "sampling toolbox",
        "numpy onnx",
    ),
    # OpenCV and pooch inside functions only.
    "faces": ("channels files frames sampling store", "numpy cv2 pooch"),
    "features": ("", ""),
    "files": ("", ""),
    "frames": ("config", "numpy"),
    "gabor": ("", "numpy"),
    # OpenCV inside functions only.
    "imagefiles": (
        "arrayfiles bounds diagnostics frames imageheaders imagemetadata warning",
        "numpy cv2",
    ),
    # PyTorch inside functions only.
    "gradients": ("", "torch"),
    "imageheaders": ("", ""),
    "imagemetadata": ("imageheaders", ""),
    "levels": ("", "numpy"),
    "maps": ("config sampling", "numpy"),
    "metrics": ("metrics", "numpy"),
    "native": ("", ""),
    "model": ("backends channels config frames levels maps pipeline plan sampling", "numpy"),
    "pipeline": ("channels config features frames plan", "numpy"),
    "plan": ("config features gabor sampling", "numpy"),
    "readout": ("evaluation", ""),
    "reference": ("config features references", "numpy"),
    "references": ("config features references", "numpy"),
    "sampling": ("config features", "numpy"),
    # The CPU's import time: nothing that compiles.
    "store": ("files warning", ""),
    "reference_backend": ("channels config frames pipeline plan reference", "numpy"),
    "toolbox": ("config features gabor plan", "numpy"),
    "trace": ("channels features pipeline plan", "numpy"),
    "twin_pyramids": ("features", "numpy"),
    "cpu": (
        "_version allocator channels config cpu features files frames gabor native pipeline plan "
        "references store toolbox trace twin_pyramids",
        "numpy numba llvmlite",
    ),
    # CuPy inside functions only: it takes a third of a second, and there may be none.
    "cuda": (
        "allocator channels config cuda features files frames pipeline plan references sampling "
        "store toolbox trace twin_pyramids",
        "numpy cupy cupyx",
    ),
    "warning": ("", ""),
    # The build backend: setuptools and what packs wheels inside functions only.
    "wheel": (
        "building config cpu cuda frames native pipeline",
        "setuptools wheel elftools",
    ),
    # OpenCV and PyAV inside functions only.
    "video": (
        "attention bounds config diagnostics drawing files frames imagefiles levels maps model "
        "pipeline video",
        "numpy cv2 av",
    ),
    # OpenCV inside functions only.
    "drawing": ("config frames imagefiles levels sampling", "numpy cv2"),
    # The command line goes through the public API; it shares the checks of what a user gives.
    "cli": (
        "__init__ _version attention backends bounds building cli config datasets diagnostics "
        "documents drawing evaluation export faces features files frames gradients imagefiles "
        "imageheaders levels maps metrics model pipeline readout video",
        "numpy cv2 skimage tqdm llvmlite torch",  # all but NumPy inside functions only
    ),
}
# Those that import others' packages, but NumPy, inside functions only.
LAZY = (
    *("attention", "cli", "cuda", "datasets", "diagnostics", "drawing", "evaluation", "export"),
    *("faces", "gradients", "imagefiles", "video", "wheel"),
)
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
KNOWN = {".".join(["ittisal", *s.with_suffix("").parts]).removesuffix(".__init__") for s in SOURCES}
# What counts, compiles or checks the CUDA backend's work, or stands for its device, looks inside.
INSIDE = {"cuda_checks.py", "cuda_estimate.py", "gpu.py", "stub_device.py"}
OUTSIDE = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if path.name not in INSIDE
)


def layer(source):
    """The row of `LAYERS` that a source file of the package belongs to."""
    return source.parts[0].removesuffix(".py")


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path, package):
    """Yield (dotted name, names taken from it, whether at module level) for each import.

    Relative ones become absolute; `package` is the dotted name of the file's folder.
    """
    parsed = tree(path)
    inside = {
        id(node)
        for part in ast.walk(parsed)
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        or (isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING")
        for node in ast.walk(part)
    }
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], id(node) not in inside, 0
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            parts = (base if node.level else []) + ([node.module] if node.module else [])
            names = [alias.name for alias in node.names]
            yield ".".join(parts), names, id(node) not in inside, node.level


def own_imports(source):
    """Imports of a file of the package."""
    return imports(PACKAGE / source, ".".join(["ittisal", *source.parent.parts]))


def modules_of(dotted, names):
    """The package's own modules that an import reaches, by their rows in `LAYERS`."""
    inner = dotted.split(".")[1:]
    if inner:
        return {inner[0]}
    taken = {name for name in names if (PACKAGE / name).is_dir() or f"{name}.py" in TOP_FILES}
    return taken | ({"__init__"} if set(names) - taken else set())


def dotted(source):
    """The name by which a file of the package is imported."""
    parts = ["ittisal", *source.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TOP_FILES = {path.name for path in PACKAGE.glob("*.py")}


def test_no_import_leads_back():
    """No module needs, to be imported, one that needs it. Packages stand for their `__init__`."""
    graph = {}
    for source in SOURCES:
        found = set()
        for module, names, top, _ in own_imports(source):
            if top:
                inner = {f"{module}.{name}" for name in names}
                found |= (inner & KNOWN) or ({module} & KNOWN)
        graph[dotted(source)] = found - {dotted(source)}
    while graph:
        free = [module for module, needs in graph.items() if not needs & graph.keys()]
        assert free, f"circles among {sorted(graph)}"
        for module in free:
            del graph[module]


def test_every_module_has_a_row():
    assert {layer(source) for source in SOURCES} == set(LAYERS)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_stay_in_their_layer(source):
    ours, others = (set(allowed.split()) for allowed in LAYERS[layer(source)])
    for dotted, names, top, level in own_imports(source):
        root = dotted.split(".")[0]
        if root == "ittisal":
            assert level > 0, f"absolute import of {dotted}; write it relative"
            assert modules_of(dotted, names) <= ours, f"{source} imports {dotted}: {names}"
        elif root not in STANDARD:
            assert root in others, f"{source} imports {dotted}"
            if layer(source) in LAZY and root != "numpy":
                assert not top, f"{source} imports {dotted} at module level"


SCALAR = ("ittisal.cpu.kernels.run", "ittisal.cpu.scalar")
COMPILES = ("ittisal.cpu.kernels", "ittisal.cpu.simd", "ittisal.cpu.compiler", "ittisal.cpu.scalar")


@pytest.mark.parametrize("source", [s for s in SOURCES if layer(s) == "cpu"], ids=str)
def test_only_scalar_kernels_need_numba(source):
    """A start that finds those in the store must not import Numba; one that finds all kernels
    there, nothing that compiles.
    """
    dotted = ".".join(["ittisal", *source.with_suffix("").parts])
    for imported, names, top, _ in own_imports(source):
        reached = {imported, *(f"{imported}.{name}" for name in names)}
        if not dotted.startswith(SCALAR):
            assert not any(each.startswith("numba") for each in reached)
            assert not (top and any(each.startswith(SCALAR) for each in reached))
        if not dotted.startswith(COMPILES):
            assert not (top and any(each.startswith(COMPILES) for each in reached))


@pytest.mark.parametrize("source", [s for s in SOURCES if layer(s) == "cli"], ids=str)
def test_the_command_line_takes_no_private_names(source):
    for dotted, names, _, _ in own_imports(source):
        if dotted.split(".")[0] == "ittisal" and not dotted.startswith("ittisal.cli"):
            private = {name for name in names if name.startswith("_")} - {"__version__"}
            assert not private, f"{source} takes {private} from {dotted}"


@pytest.mark.parametrize("source", OUTSIDE, ids=str)
def test_benchmarks_use_the_public_api_only(source):
    for dotted, names, _, level in imports(ROOT / source, ".".join(source.parent.parts)):
        if level == 0 and dotted.split(".")[0] == "ittisal":
            assert dotted in ("ittisal", "ittisal.backends"), f"{source} imports {dotted}"
            if dotted == "ittisal":
                assert set(names) <= {*ittisal.__all__, "backends"}, f"{source} takes {names}"
    for node in ast.walk(tree(ROOT / source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ittisal":
            assert node.attr in {*ittisal.__all__, "backends"}, f"ittisal.{node.attr}"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_public_things_have_docstrings(source):
    parsed = tree(PACKAGE / source)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in parsed.body if isinstance(node, kinds)]
    for node in list(public):
        if isinstance(node, ast.ClassDef):
            public += [inner for inner in node.body if isinstance(inner, kinds)]
    named = [node for node in public if not node.name.startswith("_")]
    missing = [node.name for node in named if not ast.get_docstring(node)]
    assert not missing, f"{source}: no docstring on {missing}"


def test_public_names():
    for name in ittisal.__all__:
        assert hasattr(ittisal, name)
    assert {"saliency_map", "Saliency", "Config", "preset"} <= set(ittisal.__all__)


# --- tried -------------------------------------------------------------------------------------


def fresh(code, tmp_path):
    """Run `code` in a new interpreter with warnings as errors; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy(tmp_path):
    code = (
        "import sys, ittisal; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )  # fmt: skip
    loaded = set(fresh(code, tmp_path).split())
    assert "ittisal" in loaded
    heavy = {"numba", "llvmlite", "cv2", "av", "skimage", "cupy", "scipy", "tqdm", "matplotlib"}
    heavy |= {"h5py", "onnx", "pysaliency", "torch"}
    assert not loaded & heavy


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "skimage", "tqdm", "scipy", "PIL"):
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
try:
    import cv2
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the block does not work")

import numpy as np
import ittisal
from ittisal import backends

image = np.zeros((96, 128, 3), np.uint8)
image[40:50, 60:70] = (255, 0, 0)
for name, (usable, _) in backends.available().items():
    if usable:
        raw = ittisal.Saliency((96, 128), backend=name)(image)
        shown = ittisal.saliency_map(image, backend=name)
        print(name, raw.shape, raw.max() > 0, shown.shape, shown.max() > 0)
"""


def test_the_core_runs_without_opencv_and_scikit_image(tmp_path):
    lines = fresh(BLOCKED, tmp_path).splitlines()
    usable = [name for name, (good, _) in ittisal.backends.available().items() if good]
    assert lines == [f"{name} (6, 8) True (96, 128) True" for name in usable]
    assert "reference" in usable
