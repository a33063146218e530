"""The filtered way from the Hub to the engine: rules in ``policy``, server in ``gateway``."""
