"""What every other package builds on, with no knowledge of the domain: errors, units, arrays, checked fields, sources, aligned text."""
