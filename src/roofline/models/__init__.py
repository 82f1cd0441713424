"""What a language model is: its layers, its number formats and its quantisation, and the readers of ``config.json``."""
