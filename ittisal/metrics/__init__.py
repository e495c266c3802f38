"""How well a map predicts where people looked: the scores of the saliency benchmarks.

The same names stand for different numbers elsewhere, so each function states its definition.

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

`map_for` makes of a density the map that scores best under one of them.

All functions share these conventions.

Maps
    `saliency` and `density` are array_like of shape (H, W), real and finite, in any unit, or such a
    map prepared by `prepare`: then work that several scores share, such as its mean, is done once.
    A constant map scores at chance. Nothing that is given is changed.
Fixations
    `x` and `y` are array_like of shape (F,), F at least 1, in pixels of the map: origin top-left, x
    to the right, y down. A fixation lies in the pixel of its whole part. Repeated fixations count
    as often as they occur, unless the definition says otherwise.
Scores
    A float, computed in float64.
Errors
    TypeError for complex numbers, text or objects. ValueError for a map that is not two-dimensional
    or not finite (says where), for shapes that differ, for no fixations or one outside the map
    (names it), for a density that is zero everywhere, for negative values if the map is made a
    density, and for an argument out of its range. Functions list only what they raise besides.

References, by the short names that functions use:

- Bylinskii 2019: Bylinskii, Judd, Oliva, Torralba & Durand, "What do different evaluation metrics
  tell us about saliency models?", IEEE TPAMI 41(3), 2019.
- Kuemmerer 2018: Kuemmerer, Wallis & Bethge, "Saliency Benchmarking Made Easy", ECCV 2018, and
  saliency.tuebingen.ai.
- MIT: the code of the MIT saliency benchmark, github.com/cvzoya/saliency.
"""

from .densities import empirical_density, fixation_map, log_density
from .maps import MAPS, map_for
from .prepared import PreparedMap, prepare
from .roc import auc, auc_borji, auc_judd, shuffled_auc
from .scores import cc, information_gain, kl, nss, sim

__all__ = [
    "MAPS",
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
    "map_for",
    "nss",
    "prepare",
    "shuffled_auc",
    "sim",
]
