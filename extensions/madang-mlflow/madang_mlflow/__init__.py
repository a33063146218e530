"""See the package description in pyproject.toml."""

__version__ = "0.1.0"
