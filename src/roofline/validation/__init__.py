"""Measured runs in, errors and coverage out: ``validate``."""
