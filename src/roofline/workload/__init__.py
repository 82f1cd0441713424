"""Questions (``Prefill``, ``Decode``, ``Serve``, ``TrainStep``) and parallel layouts (``Layout``)."""
