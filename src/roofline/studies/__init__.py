"""Many answers at once: ``sweep``, ``compare``, ``scaling``, ``needed``, ``probability`` and ``largest``."""
