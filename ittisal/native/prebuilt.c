/* How many kernels are in a library of prebuilt kernels: see ittisal/cpu/prebuilt.py. */

const int ittisal_kernels = ITTISAL_KERNELS;
