"""The context: the record of addresses and numbers that every kernel is handed.

One table says its fields, in order. Kernels read them by name (`simd.field`, and as attributes in
the SIMD layer); the backend fills them in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Name -> "i8" or "f8" for a number, "*" and the dtype of what the field points to, or "*" alone
# where that depends on the frame's format. Offsets in the arena are numbers, in floats.
FIELDS: dict[str, str] = {
    # The frame and its format.
    "frame": "*",
    "frame_size": "i8",  # elements
    "row_size": "i8",  # elements of a row
    "edge_rows": "*",  # copies of rows that vectors would read past, a pair per worker
    "edge_size": "i8",  # elements of one such row
    "full": "f8",  # highest value of an element
    "grey_scale": "f8",  # 1 / highest sum of a pixel's elements
    "hue_threshold": "f8",  # a fraction
    "fixed_hue": "i8",  # of full scale, rather than of the brightest pixel
    # What `scan` finds in the frame.
    "partials": "*f8",  # of each task
    "scanned": "i8",  # tasks that have ended
    "brightest": "f8",  # highest intensity, 0 to 1
    "lowest": "f8",
    "highest": "f8",
    "hue_limit": "f8",  # pixels no brighter have no hue
    "signals": "*f8",  # by number of `Signal`
    "bad_values": "i8",  # a float frame's: the launches that follow do nothing
    # Time.
    "background": "*",  # of flicker, before and after this frame
    "next_background": "*",
    "background_brightness": "f8",  # at most
    "flicker_decay": "f8",
    "motion_threshold": "f8",
    "previous_map": "*f4",  # the smoothed map, before and after this frame
    "next_map": "*f4",
    "smoothing_factor": "f8",
    # Planes and maps.
    "arena": "*f4",
    "scratch": "i8",  # the first worker's
    "scratch_size": "i8",
    "planes": "i8",
    "plane_stride": "i8",
    "map_height": "i8",
    "map_width": "i8",
    "map_pitch": "i8",
    "map_stride": "i8",
    "map_fade": "i8",  # the border's fade: columns, then rows
    # Tables of tasks, and through them of rows; see `rows`.
    "opponency": "*i8",
    "orientation_opponency": "*i8",
    "pyramid": "*i8",
    "orientation_pyramid": "*i8",
    "orientation": "*i8",
    "levels": "*i8",
    "plane_statistics": "*i8",
    "energy_statistics": "*i8",
    "whitened_energies": "*i8",
    "resampling": "*i8",
    "centre_surround": "*i8",
    "maps": "*i8",
    "sums": "*i8",
    # N by iterated differences of Gaussians: kernels and how far they reach.
    "excitation": "i8",
    "excitation_reach": "i8",
    "inhibition": "i8",
    "inhibition_reach": "i8",
    # Whitening.
    "statistics": "*f8",  # of this frame, by group; then running ones
    "running": "i8",  # where these start
    "averages": "i8",  # they are used
    "whitening": "*f8",  # whitening matrices, by group
    "planes_vary": "i8",
    "mahalanobis": "i8",  # a map per plane and orientation
    "whitened_count": "i8",  # how many of them this format has
    "whitened_sum": "i8",
    "whitened_fade": "i8",
    # Figure.
    "figures": "i8",  # maps: surroundedness, corners, oriented energies
    "figure_planes": "i8",  # the planes at the level of surroundedness
    "figure_height": "i8",
    "figure_width": "i8",
    "figure_pitch": "i8",
    "surroundedness": "i8",  # at that level
    "reconstructions": "i8",
    # A published program's own numbers; see `program.Program`.
    "program": "*i8",
    # Graph-based visual saliency.
    "light_levels": "i8",  # gamma tables of red, green and blue
    "activations": "i8",
    "conspicuities": "i8",
    "channel_weights": "i8",
    "graph_across": "i8",  # weights of distances along a row, from each column
    "graph_down": "i8",
    "graph_sums": "i8",  # each place's sum of them
    # The saliency map.
    "gain": "i8",  # a map, of the caller's channels that multiply
    "centre_prior": "i8",  # columns, then rows
    "saliency": "i8",
    "saliency_affine": "i8",
    "out": "*f4",
}
INDEX = {name: index for index, name in enumerate(FIELDS)}


class ContextRecord:
    """A context in memory. It keeps the arrays alive that its fields point to."""

    def __init__(self, **values: Any) -> None:
        record = np.zeros(len(FIELDS), np.int64)
        self.address = record.ctypes.data
        # Read and written as Python's numbers, which is quicker than as NumPy's.
        self.integers, self.numbers = record.data, record.view(np.float64).data
        self.arrays: dict[str, np.ndarray] = {}
        self.set(**values)

    def set(self, **values: Any) -> None:
        """Set fields: numbers, or the arrays that they point to."""
        for name, value in values.items():
            index = INDEX[name]
            if FIELDS[name].startswith("*"):
                self.arrays[name] = value
                self.integers[index] = value.ctypes.data
            elif FIELDS[name] == "f8":
                self.numbers[index] = value
            else:
                self.integers[index] = value

    def swap(self, one: str, other: str) -> None:
        """Let each of two fields point to what the other points to."""
        i, j = INDEX[one], INDEX[other]
        self.integers[i], self.integers[j] = self.integers[j], self.integers[i]

    def get(self, name: str) -> Any:
        """A number."""
        numbers = self.numbers if FIELDS[name] == "f8" else self.integers
        return numbers[INDEX[name]]
