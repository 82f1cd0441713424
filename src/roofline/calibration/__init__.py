"""Timings in, calibration coefficients out: ``calibrate``."""
