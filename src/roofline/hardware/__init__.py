"""What a machine is: chips, tiers of a network, systems, the coefficients of kernels and links, engines and frameworks as values."""
