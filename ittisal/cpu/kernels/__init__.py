"""The kernels, one module per stage. Each is a function of (task, worker, context, facts)."""
