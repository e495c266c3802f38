"""How well a map predicts where people looked: the scores of the saliency benchmarks.

Maps are (H, W) arrays; fixations are two 1-D arrays `x` and `y` in pixels of the map, origin
top-left, x to the right, y down. A fixation lies in the pixel of its whole part. What is asked
for is stated per function, since the same names stand for different numbers elsewhere.

=====================  ==============================================  =======  ================
function               compares the map with                           better   range
=====================  ==============================================  =======  ================
`auc`                  fixations, against every pixel                  higher   0 to 1, chance .5
`auc_judd`             fixated pixels, against the other pixels        higher   0 to 1, chance .5
`auc_borji`            fixated pixels, against random pixels           higher   0 to 1, chance .5
`shuffled_auc`         fixations, against other images' fixations      higher   0 to 1, chance .5
`nss`                  fixations                                       higher   chance 0
`information_gain`     fixations, against a baseline density           higher   bits, chance 0
`cc`                   a fixation density                              higher   -1 to 1, chance 0
`sim`                  a fixation density                              higher   0 to 1
`kl`                   a fixation density                              lower    nats, best 0
=====================  ==============================================  =======  ================

All take the map as an array, or prepared by `prepare`: then work that several scores share, such
as sorting it, is done once.
"""

from .densities import empirical_density, fixation_map, log_density
from .distributions import cc, kl, sim
from .locations import information_gain, nss
from .prepared import PreparedMap, prepare
from .roc import auc, auc_borji, auc_judd, shuffled_auc

__all__ = [
    "PreparedMap",
    "auc",
    "auc_borji",
    "auc_judd",
    "cc",
    "empirical_density",
    "fixation_map",
    "information_gain",
    "kl",
    "log_density",
    "nss",
    "prepare",
    "shuffled_auc",
    "sim",
]
