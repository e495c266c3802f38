"""Where people looked: images with human fixations, in one small format.

`load` reads a folder of images and a table of fixations (see `ittisal.datasets.storage` for the
format), `save` writes one, `check` tells what is wrong with one, and `read_published` reads the
files that the authors of `PUBLISHED` data sets offer. Nothing is downloaded.
"""

from .checking import check
from .dataset import UNKNOWN, DataSet, DataSetError, Fixations
from .generating import generated
from .published import PUBLISHED, Published, read_published
from .storage import load, save

__all__ = [
    "PUBLISHED",
    "UNKNOWN",
    "DataSet",
    "DataSetError",
    "Fixations",
    "Published",
    "check",
    "generated",
    "load",
    "read_published",
    "save",
]
