"""What a lesson says about itself: ``lesson.toml``, and ``tutorials/lessons.toml`` about all of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from madang_hub.lessons.source import LessonError

Model = TypeVar("Model", bound=BaseModel)
NAME = r"^[^/\\\x00-\x1f]+\.ipynb$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Strict):
    """A text in both languages."""

    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Files(_Strict):
    """The notebooks' names. They never change: a learner's copy is found by them."""

    ko: str = Field(pattern=NAME)
    en: str = Field(pattern=NAME)


class Needs(_Strict):
    """What a lesson needs; ``memory_mb`` in MB (powers of 1024)."""

    accelerator: bool
    memory_mb: int = Field(gt=0)
    tracking: bool


class Data(_Strict):
    """One set of data that a lesson uses; ``real``: measured, not generated."""

    name: str
    source: str
    licence: str
    real: bool


class About(_Strict):
    """``lesson.toml``. ``numbers``: figures in the text that no cell prints, each with the reason."""

    id: str = Field(pattern=r"^[a-z][0-9]+$")
    path: str
    order: int
    minutes: int = Field(gt=0)
    title: Words
    summary: Words
    file: Files
    needs: Needs
    data: tuple[Data, ...] = ()
    numbers: dict[str, str] = {}


class Series(_Strict):
    """A series of lessons."""

    id: str
    title: Words


class Set(_Strict):
    """``lessons.toml``: the version of all lessons together, and the paths in order."""

    version: str = Field(pattern=r"^\d{4}\.\d{1,2}\.\d+$")
    path: tuple[Series, ...]


def read_set(file: Path) -> Set:
    """``tutorials/lessons.toml``.

    Raises:
        LessonError: it is not as it should be; the message says where.
    """
    return _read(Set, file)


def read_about(file: Path) -> About:
    """A lesson's ``lesson.toml``.

    Raises:
        LessonError: it is not as it should be; the message says where.
    """
    return _read(About, file)


def _read(model: type[Model], file: Path) -> Model:
    name = f"{file.parent.name}/{file.name}"
    try:
        return model.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise LessonError(f"{name} is missing.") from error
    except tomllib.TOMLDecodeError as error:
        raise LessonError(f"{name}: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LessonError(f"{name}: {where}: {first['msg']}.") from error
