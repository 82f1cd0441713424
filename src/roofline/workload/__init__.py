"""What is asked (``Prefill``, ``Decode``, ``Serve``, ``TrainStep``) and how it is split over chips (``Layout``)."""
