"""The published data sets that are known: where to get them, on what terms, and their readers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import readers
from .dataset import Builder, DataSet, DataSetError
from .tables import readable


@dataclass(frozen=True)
class Published:
    """One data set: addresses to `fetch`, the `layout` that the folder has to have, and its reader.

    `licence` states the terms as far as the authors do; `sigma_px` is about one degree of visual
    angle, by `sigma_from`; `notes` say what to know before quoting scores.
    """

    name: str
    title: str
    paper: str
    fetch: tuple[str, ...]
    licence: str
    layout: tuple[str, ...]
    sigma_px: float
    sigma_from: str
    notes: str
    read: Callable[[Path, Builder, readers.Progress], None]


PUBLISHED = {
    known.name: known
    for known in (
        Published(
            name="osie",
            title="OSIE: 700 photographs of 800x600, 15 observers, 3 s free viewing",
            paper="Xu, Jiang, Wang, Kankanhalli & Zhao, Journal of Vision 14(1):28, 2014",
            fetch=("https://github.com/NUS-VIP/predicting-human-gaze-beyond-pixels",),
            licence="MIT (the repository's notice, (c) 2014 NUS VIP); the photographs are from "
            "Flickr and Google",
            layout=("data/eye/fixations.mat", "data/stimuli/1001.jpg ... 1700.jpg"),
            sigma_px=24,
            sigma_from="the repository's src/common/config.m",
            notes="Observers, order and durations are known.",
            read=readers.osie,
        ),
        Published(
            name="mit1003",
            title="MIT1003: 1003 photographs of up to 1024x1024, 15 observers, 3 s free viewing",
            paper="Judd, Ehinger, Durand & Torralba, ICCV 2009",
            fetch=(
                "http://people.csail.mit.edu/tjudd/WherePeopleLook/ALLSTIMULI.zip",
                "http://people.csail.mit.edu/tjudd/WherePeopleLook/DATA.zip",
            ),
            licence="none stated; ask the authors before passing it on. The photographs are from "
            "Flickr (Creative Commons) and LabelMe",
            layout=(
                "ALLSTIMULI/*.jpeg",
                "DATA/<observer>/<image>.mat",
                "or, of all observers together: ALLFIXATIONMAPS/<image>_fixPts.jpg",
            ),
            sigma_px=34,
            sigma_from="the authors' checkFixations.m: 34 pixels per degree",
            notes="DATA holds gaze samples at 240 Hz: fixations are found by the authors' method, "
            "and each observer's first, on the central cross, is left out as they do.",
            read=readers.mit1003,
        ),
        Published(
            name="cat2000",
            title="CAT2000, training set: 2000 images of 1920x1080 in 20 categories, 18 observers "
            "each, 5 s free viewing",
            paper="Borji & Itti, arXiv 1505.03581, 2015",
            fetch=("http://saliency.mit.edu/trainSet.zip",),
            licence="none stated; ask the authors before passing it on",
            layout=(
                "trainSet/Stimuli/<category>/001.jpg ...",
                "trainSet/FIXATIONLOCS/<category>/001.mat ...",
            ),
            sigma_px=40,
            sigma_from="as the MIT/Tübingen saliency benchmark has it",
            notes="Observers are pooled in FIXATIONLOCS, so there is no inter-observer ceiling, "
            "and two fixations in one pixel count once. allFixData.mat names observers, but only "
            "MATLAB reads it: export it to fixations.csv for them. Images are padded with grey to "
            "1920x1080.",
            read=readers.cat2000,
        ),
        Published(
            name="toronto",
            title="Toronto: 120 photographs of 681x511, 20 observers, 4 s free viewing",
            paper="Bruce & Tsotsos, NIPS 2005 and Journal of Vision 9(3):5, 2009",
            fetch=("http://www-sop.inria.fr/members/Neil.Bruce/eyetrackingdata.zip",),
            licence="none stated; ask the authors before passing it on",
            layout=(
                "eyetrackingdata/fixdens/origfixdata.mat",
                "eyetrackingdata/fixdens/Original Image Set/1.jpg ... 120.jpg",
            ),
            sigma_px=22,
            sigma_from="a 21 inch screen at 75 cm, filled by the image: an estimate",
            notes="Observers are pooled, so there is no inter-observer ceiling, and two fixations "
            "in one pixel count once.",
            read=readers.toronto,
        ),
    )
}


def read_published(
    name: str,
    source: str | os.PathLike[str],
    *,
    sigma_px: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[DataSet, list[str]]:
    """Read a published data set from its authors' files.

    `name` is one of `PUBLISHED`, `source` the folder that the files were unpacked to; `sigma_px` is
    by default what `PUBLISHED` states, and `progress` as of `save`.

    Returns the data set of the images that can be read, where they are in `source`, with positions
    on pixels as stored, whatever an EXIF orientation says, as MATLAB's imread reads them; and a
    list of problems, one line each: what was left out and why, and what is suspicious.
    """
    if name not in PUBLISHED:
        raise DataSetError(f"no data set {name!r} is known; there are {', '.join(PUBLISHED)}")
    known, folder = PUBLISHED[name], Path(source)
    if folder.is_file():
        raise DataSetError(f"{folder} is a file; unpack it and give the folder")
    if not folder.is_dir():
        raise DataSetError(f"{folder}: no such folder")
    builder = Builder(
        name,
        folder,
        sigma_px=sigma_px or known.sigma_px,
        upright=False,
        source=f"{known.paper}; {known.fetch[0]}",
        licence=known.licence,
    )
    try:
        known.read(folder, builder, progress or (lambda done, total: None))
    except OSError as error:
        raise DataSetError(f"{error.filename or folder}: {error.strerror}") from error
    data = builder.data_set()
    return readable(data), [*builder.problems, *data.remarks]
