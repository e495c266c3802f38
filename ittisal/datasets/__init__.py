"""Where people looked: images with human fixations, in one small format.

`load` reads a data set (see `ittisal.datasets.storage` for the format), `load_images` also images
without fixations; `save` writes one, `check` finds what is wrong with one. `read_published` reads
the files that the authors of `PUBLISHED` data sets offer, and `read_table` tables of other
programs. Nothing is downloaded.
"""

from .dataset import UNKNOWN, DataSet, DataSetError, Fixations
from .published import PUBLISHED, Published, read_published
from .storage import load, load_images, save
from .synthetic import generated
from .tables import check, read_table

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
    "load_images",
    "read_published",
    "read_table",
    "save",
]
