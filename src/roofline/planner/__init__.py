"""The verbs that choose a parallelism configuration: ``estimate``, ``train``, ``pools``, ``offload`` and ``search``."""
