"""Secrets that the scanner does not know by itself, in the form that it takes: subclasses of its plug-in.

Loaded by the scanner from this file (:mod:`.scanner`).
"""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class HuggingFaceDetector(RegexBasedDetector):
    """Access tokens of Hugging Face (``hf_…``)."""

    secret_type = "Hugging Face Token"  # noqa: S105  # a kind of secret
    denylist = (re.compile(r"\bhf_[A-Za-z0-9]{30,}\b"),)


class OpenAIDetector(RegexBasedDetector):
    """Keys of OpenAI and Anthropic (``sk-…``)."""

    secret_type = "OpenAI or Anthropic Key"  # noqa: S105  # a kind of secret
    denylist = (re.compile(r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{32,}"),)


class GitLabDetector(RegexBasedDetector):
    """Access tokens of GitLab (``glpat-…``)."""

    secret_type = "GitLab Token"  # noqa: S105  # a kind of secret
    denylist = (re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),)


class PackageIndexDetector(RegexBasedDetector):
    """Upload tokens of the Python package index (``pypi-…``)."""

    secret_type = "PyPI Token"  # noqa: S105  # a kind of secret
    denylist = (re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{40,}"),)
