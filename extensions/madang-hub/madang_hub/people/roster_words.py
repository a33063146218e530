"""The words of a roster: how people name its columns and the roles in it. Rules only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal

from madang_hub.people.directory import TeamRole
from madang_hub.texts import Text

Column = Literal["name", "email", "role", "user"]

COLUMNS: Mapping[Column, Text] = {
    "name": Text(ko="이름", en="name"),
    "email": Text(ko="이메일", en="e-mail"),
    "role": Text(ko="역할", en="role"),
    "user": Text(ko="사용자 이름", en="user name"),
}
REQUIRED: tuple[Column, ...] = ("name", "email")

_HEADINGS: Mapping[str, Column] = {
    **dict.fromkeys(("이름", "성명", "성함", "name", "fullname", "displayname"), "name"),
    **dict.fromkeys(
        (
            "이메일",
            "이메일주소",
            "메일",
            "메일주소",
            "전자우편",
            "전자우편주소",
            "email",
            "emailaddress",
            "mail",
        ),
        "email",
    ),
    **dict.fromkeys(("역할", "role"), "role"),
    **dict.fromkeys(
        (
            "아이디",
            "사용자이름",
            "사용자명",
            "사용자아이디",
            "계정",
            "username",
            "userid",
            "user",
            "login",
        ),
        "user",
    ),
}
"""Column names as people write them: in small letters, without spaces and signs."""

ROLES: Mapping[TeamRole, Text] = {
    "trainee": Text(ko="교육생", en="trainee"),
    "member": Text(ko="구성원", en="member"),
    "mentor": Text(ko="멘토", en="mentor"),
}
ROLE_WORDS: Mapping[str, TeamRole] = {
    **dict.fromkeys(("교육생", "수강생", "학생", "trainee", "student"), "trainee"),
    **dict.fromkeys(("구성원", "팀원", "member"), "member"),
    **dict.fromkeys(("멘토", "강사", "mentor", "instructor"), "mentor"),
}


def heading(cell: str) -> Column | None:
    """Which column ``cell`` names, however it is written: ``E-Mail``, ``이메일 (필수)``, ``사용자 이름*``."""
    text = unicodedata.normalize("NFKC", cell).casefold()
    text = re.sub(r"\(.*?\)", "", text)
    return _HEADINGS.get("".join(c for c in text if c.isalnum()))
