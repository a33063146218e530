"""The same small model on every device of this server: speed and accuracy under one schema.

``rules`` says what a figure is and what a run must hold, ``devices`` finds the devices, ``model`` makes
the model, ``runtimes`` runs it, ``bench`` measures and logs. ``python -m chipbench`` prints figures without
tracking.
"""
