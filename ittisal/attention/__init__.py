"""Where to look: attended locations, proto-objects, regions, crops, and why.

Everything here works on a saliency map, or on the intermediates that made it (`Saliency.trace`),
whichever backend they come from. Coordinates are (y, x) in pixels of the frame, whole numbers at
centres of pixels, unless a name says otherwise.
"""
