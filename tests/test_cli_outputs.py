"""What no command may do: replace its inputs, or leave behind what failed."""

from __future__ import annotations

import os
import shutil

import pytest
from clips import grey_frames, write_video
from test_cli import POSIX, names, run_here, save

from ittisal import datasets

pytestmark = POSIX  # links


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Inputs, and other names of them."""
    folder = tmp_path_factory.mktemp("given")
    datasets.generated(folder / "tiny", images=2)
    image = datasets.load(folder / "tiny").path(0)
    save(folder / "a.png")
    save(folder / "000000.png")
    shutil.copytree(folder / "tiny/images", folder / "maps")
    (folder / "c.toml").write_text("hue_threshold = 0.2\n")
    write_video(folder / "clip.mp4", grey_frames(3))
    (folder / "b.mp4.parts").mkdir()
    shutil.copy(folder / "clip.mp4", folder / "b.mp4.parts/part-00001.mp4")
    (folder / "d.mp4.parts").mkdir()
    (folder / "d.mp4.parts/notes.txt").write_text("mine")
    for name, of in {
        "a.png": "a.png", "clip.mp4": "clip.mp4", "image.h5": image, "plot.images.png": image,
        "table.csv": "tiny/fixations.npz",
    }.items():  # fmt: skip
        os.link(folder / of, folder / f"hard-{name}")
        os.symlink(folder / of, folder / f"soft-{name}")
    os.symlink(folder, folder / "here")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "map a.png -o hard-a.png",
        "map a.png -o soft-a.png",
        "map soft-a.png -o a.png",
        "map a.png -o here/a.png",
        "scanpath a.png --csv soft-a.png",
        "regions a.png --config c.toml --jsonl c.toml",
        "crop hard-a.png --zoom 2 -o a.png",
        "demo --image a.png -o a.png",
        "demo --image hard-a.png -o soft-a.png",
        "video clip.mp4 -o hard-clip.mp4",
        "video clip.mp4 --csv soft-clip.mp4",
        "video soft-clip.mp4 --jsonl clip.mp4",
        "video clip.mp4 --config c.toml --csv c.toml",
        "video 000000.png -o ./",
        "video 00%04d.png -o here/",
        "video b.mp4.parts/part-00001.mp4 -o b.mp4 --resume",
        "video clip.mp4 -o d.mp4 --resume",
        "evaluate tiny --csv tiny/fixations.npz",
        "evaluate tiny --csv hard-table.csv",
        "evaluate tiny --per-image tiny/dataset.json",
        "evaluate tiny --plot hard-plot.png",
        "evaluate tiny --plot tiny/images/bright-0.png",
        "evaluate tiny --model maps:maps --plot maps/bright-0.png",
        "evaluate tiny --model config:c.toml --csv c.toml",
        "readout tiny --config c.toml --name a --out tiny/dataset.json",
        "submit tiny -o hard-image.h5",
        "submit tiny -o soft-image.h5",
    ],
)
def test_no_output_is_an_input(line, given):
    before = {name: (given / name).read_bytes() for name in names(given)}
    ran = run_here(*line.split(), cwd=given)
    assert ran.status == 2 and not ran.out, ran.err
    assert {name: (given / name).read_bytes() for name in names(given)} == before


@pytest.mark.parametrize("line", ["map a.png -o .png", "crop a.png --zoom 2 -o out/.JPG"])
def test_a_suffix_is_no_name(line, given):
    ran = run_here(*line.split(), cwd=given)
    assert ran.status == 2 and "a name is missing before" in ran.err
    assert not (given / "out").exists()


@pytest.mark.parametrize(
    "line",
    [
        "map {} -o out/sub",
        "regions {} gone.png -o out/",
        "crop {} --zoom 2 -o out/",
        "video {} -o out/",
        "video {} -o out/ --raw",
        "submit small -o out/sub/maps",
        "submit small -o out/maps.h5",
        "dataset convert osie {} out/osie",
    ],
)
def test_no_folder_is_left_where_all_failed(line, tmp_path):
    save(tmp_path / "small/small.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = run_here(*line.format("small/small.png").split(), cwd=tmp_path)
    assert ran.status in (1, 2) and not (tmp_path / "out").exists(), ran.err
