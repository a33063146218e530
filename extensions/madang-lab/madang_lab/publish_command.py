"""``madang publish`` inside a user server: a notebook becomes a dashboard, or a new version of one."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from madang_lab import words
from madang_lab.layer import home_of
from madang_lab.publish import remembered
from madang_lab.publish.course import lines
from madang_lab.publish.course import run as run_course
from madang_lab.publish.course_sentences import say
from madang_lab.publish.folder import plan
from madang_lab.publish.heading import heading
from madang_lab.publish.plan import Plan
from madang_lab.publish.progress import Author, Course
from madang_lab.publish.service import audience_of, dashboards_of
from madang_lab.publish.wish import Audience, Wish, digest, secrets_in
from madang_lab.words import path_words, size_words

OK, FAILED, WORDS = 0, 1, 2
"""Exit statuses: published (or nothing in the way); not, or not for all who were named; called in a way that
cannot be."""

SENTENCES: dict[str, dict[str, str]] = {
    "about": {
        "en": "publish a notebook as a dashboard",
        "ko": "노트북을 대시보드로 게시합니다",
    },
    "about notebook": {
        "en": "the notebook; its folder goes along",
        "ko": "게시할 노트북. 그 폴더도 함께 올라갑니다",
    },
    "about title": {
        "en": "title (default: the notebook’s first heading, or as before)",
        "ko": "제목(쓰지 않으면 노트북의 첫 제목이나 전에 쓴 제목)",
    },
    "about description": {
        "en": "what it shows, in a few sentences",
        "ko": "무엇을 보여 주는지 설명하는 글",
    },
    "about team": {
        "en": "team or class whose mentors look after it",
        "ko": "멘토가 함께 돌볼 팀이나 반",
    },
    "about people": {
        "en": "these people may see it (a,b)",
        "ko": "볼 수 있는 사람(쉼표로 구분)",
    },
    "about teams": {
        "en": "these teams may see it (a,b)",
        "ko": "볼 수 있는 팀이나 반(쉼표로 구분)",
    },
    "about everyone": {
        "en": "everybody who is signed in may see it",
        "ko": "로그인한 사람은 모두 볼 수 있습니다",
    },
    "about me": {
        "en": "only you may see it",
        "ko": "나만 볼 수 있습니다",
    },
    "about size": {
        "en": "size of what runs it",
        "ko": "실행할 규격",
    },
    "about new": {
        "en": "make a new dashboard",
        "ko": "새 대시보드를 만듭니다",
    },
    "about update": {
        "en": "make a new version of a dashboard (default: the one that this notebook became last)",
        "ko": "대시보드의 새 버전을 올립니다(주소를 쓰지 않으면 이 노트북을 마지막으로 게시한 대시보드)",
    },
    "about dry": {
        "en": "only show what would be packed, and what to know before",
        "ko": "게시하지 않고 무엇을 올릴지와 주의할 점만 보여 줍니다",
    },
    "about despite": {
        "en": "publish although there may be secrets: you have looked at them",
        "ko": "비밀 정보로 보이는 것을 확인했으니 그대로 게시합니다",
    },
    "stopped by": {
        "en": "Cannot be published:",
        "ko": "게시할 수 없는 이유:",
    },
    "warns": {
        "en": "To know before:",
        "ko": "주의할 점:",
    },
    "despite": {
        "en": "If you have looked at them and they are no secrets, add --despite-secrets.",
        "ko": "확인해 보니 비밀 정보가 아니라면 --despite-secrets를 붙여 주세요.",
    },
    "which": {
        "en": "This notebook is published already as “{title}”. Say which you want: --update for a new "
        "version of it, "
        "--new for a new dashboard.",
        "ko": "이 노트북은 이미 ‘{title}’(으)로 게시했습니다. 새 버전을 올리려면 --update, 새 "
        "대시보드를 만들려면 "
        "--new를 붙여 주세요.",
    },
    "not yours": {
        "en": "You have no dashboard {slug}. Without an address, --update takes the one that this "
        "notebook became last.",
        "ko": "내 대시보드 가운데 {slug}이(가) 없습니다. 주소 없이 --update만 쓰면 이 노트북을 "
        "마지막으로 게시한 "
        "대시보드를 고릅니다.",
    },
    "never": {
        "en": "It is not known as which dashboard this notebook was published. Say --update ADDRESS "
        "(the last part of its "
        "link), or --new.",
        "ko": "이 노트북을 어느 대시보드로 게시했는지 알 수 없습니다. 링크의 마지막 부분을 --update 뒤에 "
        "쓰거나 --new를 붙여 주세요.",
    },
    "team stays": {
        "en": "A dashboard stays with its team; --team is for a new one.",
        "ko": "게시한 대시보드의 팀은 바꿀 수 없습니다. --team은 새 대시보드에만 쓸 수 있습니다.",
    },
    "no team": {
        "en": "You are not in {team}. Yours: {teams}",
        "ko": "{team}에 들어 있지 않습니다. 내 팀: {teams}",
    },
    "no size": {
        "en": "There is no size {size}. Choose one of: {sizes}",
        "ko": "{size} 규격이 없습니다. 고를 수 있는 규격: {sizes}",
    },
    "packing": {
        "en": "Packing …",
        "ko": "묶는 중…",
    },
    "sending": {
        "en": "Sending {size} …",
        "ko": "{size} 보내는 중…",
    },
    "checking": {
        "en": "Version {version} is being checked …",
        "ko": "버전 {version} 점검 중…",
    },
}


class _RefusedError(Exception):
    """The sentence is for the person, "" where all is said; ``status`` is the command's."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def said(environ: Mapping[str, str], sentence: str, **values: object) -> str:
    return words.said(SENTENCES, environ, sentence, **values)


def add_to(commands: Any, environ: Mapping[str, str]) -> None:
    """Add the words to argparse's ``commands``."""
    about = said(environ, "about")
    publish = commands.add_parser("publish", help=about, description=about)
    publish.set_defaults(run=run)

    def option(*names: str, help: str, to: Any = publish, **more: Any) -> None:
        to.add_argument(*names, help=said(environ, f"about {help}"), **more)

    option("notebook", help="notebook", metavar="NOTEBOOK")
    option("--title", help="title")
    option("--description", help="description")
    option("--team", help="team")
    who = publish.add_mutually_exclusive_group()
    option("--everyone", help="everyone", to=who, action="store_true")
    option("--me", help="me", to=who, action="store_true")
    option("--people", help="people", metavar="A,B")
    option("--teams", help="teams", metavar="A,B")
    option("--size", help="size")
    which = publish.add_mutually_exclusive_group()
    option("--new", help="new", to=which, action="store_true")
    option("--update", help="update", to=which, nargs="?", const="", metavar="ADDRESS")
    option("--dry-run", help="dry", action="store_true")
    option("--despite-secrets", help="despite", action="store_true")


def run(environ: Mapping[str, str], chosen: Namespace) -> int:
    """``madang publish`` as it was called; its exit status."""
    language = "en" if environ.get("MADANG_LANG") == "en" else "ko"
    author = Author(home_of(environ).resolve(), language)
    course = Course()
    try:
        plan = _plan(environ, chosen, author)
        if chosen.dry_run:
            return OK
        asyncio.run(_publish(environ, chosen, author, plan, course))
    except _RefusedError as refused:
        if str(refused):
            print(refused, file=sys.stderr)
        return refused.status
    except KeyboardInterrupt:
        print(course.message or say(environ, "stopped"), file=sys.stderr)
        return FAILED
    return OK


def _plan(environ: Mapping[str, str], chosen: Namespace, author: Author) -> Plan:
    """What will be packed, shown.

    Raises:
        _RefusedError: it cannot be.
    """
    notebook = Path(chosen.notebook)
    try:
        if notebook.suffix != ".ipynb":
            raise FileNotFoundError(notebook)
        made = plan(notebook, author.home)
    except OSError as error:
        raise _RefusedError(say(environ, "gone"), WORDS) from error
    told = lines(made, author)
    # what was asked for goes to stdout; beside it only the link does
    stream = sys.stdout if chosen.dry_run else sys.stderr
    print("\n".join(told["summary"]), file=stream)
    if chosen.dry_run:
        for file in made.files:
            print(f"{size_words(file.size):>9}  {path_words(file.path)}", file=stream)
    for title, found in (("stopped by", told["stops"]), ("warns", told["warnings"])):
        if found:
            listed = [f"- {path_words(sentence)}" for sentence in found]
            print("\n".join(["", said(environ, title), *listed]), file=stream)
    if not made.ready:
        raise _RefusedError("")
    if secrets_in(made) and not chosen.despite_secrets:
        raise _RefusedError(f"\n{said(environ, 'despite')}")
    return made


async def _publish(
    environ: Mapping[str, str], chosen: Namespace, author: Author, made: Plan, course: Course
) -> None:
    service = dashboards_of(environ)
    state, mine = ("none", None) if service is None else await service.state()
    if service is None or mine is None:
        raise _RefusedError(say(environ, state))
    if not mine["publishes"]:
        raise _RefusedError(say(environ, "may not"))
    notebook = Path(made.folder) / made.notebook
    last = remembered.last(author.home, notebook)
    wish = wish_for(environ, chosen, mine, last, heading(notebook))
    wish = replace(wish, seen=digest(made))
    stages = list[str]()

    def told() -> None:
        if course.stage not in stages and course.stage in ("packing", "sending", "checking"):
            stages.append(course.stage)
            size = size_words(course.total)
            sentence = said(environ, course.stage, size=size, version=course.version)
            print(sentence, file=sys.stderr, flush=True)

    await run_course(course, service, notebook, wish, author, told)
    print(course.message, file=sys.stderr)
    if course.traceback:
        print(course.traceback.rstrip(), file=sys.stderr)
    if course.stage != "done":
        raise _RefusedError("")
    print(address(environ, course.url))
    if not course.let_in:
        raise _RefusedError("")


def address(environ: Mapping[str, str], url: str) -> str:
    """A dashboard's whole address, as far as this server knows by which one people come."""
    if not url.startswith("/"):
        return url
    public = urlsplit(environ.get("JUPYTERHUB_PUBLIC_HUB_URL", ""))
    host = f"{public.scheme}://{public.netloc}" if public.netloc else ""
    return (environ.get("JUPYTERHUB_HOST", "") or host) + url


def wish_for(
    environ: Mapping[str, str],
    chosen: Namespace,
    mine: Mapping[str, Any],
    last: str,
    heading: str,
) -> Wish:
    """What the words of the command mean.

    Args:
        mine: what there is (:func:`madang_lab.publish.service.mine`).
        last: the dashboard that the notebook became last; "": it is not known.
        heading: the title where none is said.

    Raises:
        _RefusedError: they cannot be meant so.
    """
    own = {one["slug"]: one for one in mine["dashboards"] if one["mine"]}
    known = [one["name"] for one in mine["sizes"]]
    if chosen.size and chosen.size not in known:
        sizes = ", ".join(known)
        raise _RefusedError(said(environ, "no size", size=chosen.size, sizes=sizes), WORDS)
    audience = Audience(_names(chosen.people), _names(chosen.teams), chosen.everyone)
    if chosen.update is None:
        if last in own and not chosen.new:
            raise _RefusedError(said(environ, "which", title=own[last]["title"]), WORDS)
        own_teams = [one["name"] for one in mine["teams"]]
        if chosen.team and chosen.team not in own_teams:
            teams = ", ".join(own_teams) or "-"
            raise _RefusedError(said(environ, "no team", team=chosen.team, teams=teams), WORDS)
        return Wish(
            title=chosen.title or heading,
            description=chosen.description or "",
            team=chosen.team or "",
            audience=audience,
            size=chosen.size or "",
            despite=chosen.despite_secrets,
        )
    slug = chosen.update.rstrip("/").rpartition("/")[2] or last
    if not slug or (not chosen.update and slug not in own):
        raise _RefusedError(said(environ, "never"), WORDS)
    if slug not in own:
        raise _RefusedError(said(environ, "not yours", slug=slug), WORDS)
    if chosen.team:
        raise _RefusedError(said(environ, "team stays"), WORDS)
    before = own[slug]
    newest = before["version"] or {}
    other = bool(audience.people or audience.teams or audience.everyone or chosen.me)
    return Wish(
        title=chosen.title or before["title"],
        description=before["description"] if chosen.description is None else chosen.description,
        audience=audience if other else audience_of(before),
        size=chosen.size or newest.get("size", ""),
        slug=slug,
        expect=before["revision"],
        despite=chosen.despite_secrets,
    )


def _names(words: str | None) -> tuple[str, ...]:
    return tuple(name for part in (words or "").split(",") if (name := part.strip()))
