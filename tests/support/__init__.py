"""What tests share: a whole Madang (``deployment``), people who use it (``people``), the engine."""
