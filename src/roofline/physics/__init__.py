"""Laws, numbers in and numbers out: kernels, collectives, topologies, pipeline schedules, queueing, reliability, energy."""
