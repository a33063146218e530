"""The service as a Tornado application: its addresses, all below the service's prefix."""

from __future__ import annotations

from tornado.web import Application, RequestHandler

from madang_hub.people.service import (
    contents,
    importing,
    look_ins,
    me,
    news,
    pages,
    proposals,
    runs_page,
    teams,
)
from madang_hub.people.service.parts import Parts
from madang_hub.people.service.process import COMMON, application_of
from madang_hub.places import PEOPLE_SERVICE

TEAM = r"((?:class|team):[a-z0-9-]+)"
CLASS = r"(class:[a-z0-9-]+)"
"""Only the people of a class have workspaces that a mentor reads; a team shares one."""

ROUTES: list[tuple[str, type[RequestHandler]]] = [
    *COMMON,
    (r"", pages.Mine),
    (rf"class/{TEAM}", pages.ClassPage),
    (rf"class/{CLASS}/runs", runs_page.ClassRuns),
    (r"admin", pages.Admin),
    (r"import", importing.ImportPage),
    (rf"environment/{contents.NAME}", contents.ContentsPage),
    (rf"environment/{contents.NAME}/{contents.RELEASE}", contents.ContentsPage),
    (rf"environment/{contents.NAME}/{contents.RELEASE}/{contents.FILE}", contents.ContentsFile),
    (r"proposals", proposals.ProposalsPage),
    (r"proposals/([0-9]{1,9})", proposals.ProposalPage),
    (r"api/me", me.Me),
    (r"api/me/extend", me.Extend),
    (r"api/me/busy", me.Busy),
    (r"api/look-ins", look_ins.LookInsAsked),
    (r"api/look-ins/([0-9]{1,9})/end", look_ins.LookInEnded),
    (rf"api/class/{TEAM}", teams.ClassState),
    (rf"api/class/{TEAM}/start", teams.ClassStart),
    (rf"api/class/{TEAM}/stop", teams.ClassStop),
    (r"api/import", importing.Import),
    (r"api/proposals", proposals.Propose),
    (r"api/proposals/([0-9]{1,9})/(approve|reject|withdraw)", proposals.Decide),
    (r"api/announcements", news.NewsMade),
    (r"api/announcements/([0-9]{1,9})", news.NewsRemoved),
]
"""Every address below the prefix; :data:`.process.PUBLIC` are the public ones."""


def application(parts: Parts, prefix: str, hub_prefix: str, cookie_secret: bytes) -> Application:
    """The application at ``prefix`` (with slashes at both ends)."""
    return application_of(PEOPLE_SERVICE, ROUTES, parts, prefix, hub_prefix, cookie_secret)
