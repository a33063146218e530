"""One-time passwords of new accounts: a table, and a file that only its owner reads."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from madang_hub.desk import CommandError
from madang_hub.people.intake import NewAccount
from madang_hub.web.i18n import N_, gettext_for


def password_list(made: Sequence[NewAccount], language: str) -> str:
    """The new accounts as a table for a spreadsheet: one-time passwords to hand out."""
    say = gettext_for(language)
    text = io.StringIO()
    # the mark tells Excel that this is UTF-8
    text.write("\ufeff")
    table = csv.writer(text)
    table.writerow(
        [say(N_("Name")), say(N_("E-mail")), say(N_("User name")), say(N_("One-time password"))]
    )
    for account in made:
        table.writerow([account.display_name, account.email, account.name, account.password])
    return text.getvalue()


class PasswordFile:
    """A file for one-time passwords that only its owner can read, and that never replaces another.

    It is opened before anything is done, so that no password is lost because it cannot be written; without
    content nothing stays.
    """

    def __init__(self, name: str) -> None:
        self._wanted = Path(name)
        self._temporary = self._wanted.with_name(f".{self._wanted.name}.{secrets.token_hex(6)}")

    def __enter__(self) -> TextIO:
        try:
            handle = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(
                f"Nothing was changed: one-time passwords cannot be written to {self._wanted.parent.resolve()} "
                f"({error.strerror}). Name another file with --passwords."
            ) from error
        self._file = os.fdopen(handle, "w", encoding="utf-8", newline="")
        return self._file

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        try:
            if self._temporary.stat().st_size:
                print(
                    f"One-time passwords: {self._place()} (only you can read it; delete it when handed out)"
                )
        finally:
            self._temporary.unlink()

    def _place(self) -> Path:
        wanted, number = self._wanted, 1
        while True:
            try:
                os.link(self._temporary, wanted)
                return wanted
            except FileExistsError:
                number += 1
                wanted = self._wanted.with_stem(f"{self._wanted.stem}-{number}")
