"""Where people looked: images with human fixations, in one small format.

`load` reads a folder of images and a table of fixations (see `ittisal.datasets.storage` for the
format), `save` writes one. Nothing is downloaded.
"""

from .dataset import UNKNOWN, DataSet, DataSetError, Fixations
from .generating import generated
from .storage import load, save

__all__ = ["UNKNOWN", "DataSet", "DataSetError", "Fixations", "generated", "load", "save"]
