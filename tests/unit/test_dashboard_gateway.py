"""Rules of the gateway: the life of an app, visits, what passes, and the seal between gateway and spawner."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_dashboard import gate
from madang_dashboard import visits as runner_visits
from madang_hub.dashboards.gateway import life, proxied, sealed
from madang_hub.dashboards.gateway.apps import Apps, StartError
from madang_hub.dashboards.gateway.checking import check
from madang_hub.dashboards.gateway.gateway import CheckResult, Doing
from madang_hub.dashboards.gateway.life import Life, Patience
from madang_hub.dashboards.gateway.proxied import Wish, wish
from madang_hub.dashboards.gateway.runner import RunnerAwayError, Seen
from madang_hub.dashboards.gateway.sealed import Order, UnsealedError
from madang_hub.dashboards.gateway.visits import (
    SETTLING,
    GoneError,
    Limits,
    UnknownError,
    Visit,
    Visits,
)
from madang_hub.dashboards.model import Version
from madang_hub.dashboards.web import views

WAITS = Patience(empty=600, waits=(5, 30), rests=600, young=60)

# ---- the life of an app ---------------------------------------------------------------------


def test_three_tries_then_a_rest_then_three_more() -> None:
    now, one, waited = 1000.0, Life(), []
    for _ in range(2 * WAITS.tries):
        assert life.may_start(one, now)
        one = life.failed(life.started(one, now), now + 1, WAITS)
        assert one.doing is Doing.FAILED
        assert not life.may_start(one, one.until - 0.1)
        waited.append(one.until - (now + 1))
        now = one.until
    assert waited == [5, 30, 600] * 2


def test_a_start_under_way_is_not_started_again() -> None:
    one = life.started(Life(), 0)
    assert not life.may_start(one, 1e9)
    assert not life.may_start(life.answered(one, 1), 1e9)


def test_it_is_over_ten_minutes_after_the_last_visitor() -> None:
    one = life.answered(life.started(Life(), 0), 2)
    assert not life.over(one, 601, WAITS)
    assert life.over(one, 602, WAITS)
    one = life.visited(one, 1, 602, WAITS)
    assert not life.over(one, 1e9, WAITS)
    one = life.visited(one, 0, 700, WAITS)
    # that it is still empty does not begin the time anew
    one = life.visited(one, 0, 1200, WAITS)
    assert not life.over(one, 1299, WAITS)
    assert life.over(one, 1300, WAITS)


@pytest.mark.parametrize(("lived", "doing"), [(59, Doing.FAILED), (60, Doing.ASLEEP)])
def test_what_ends_right_after_its_start_has_failed(lived: int, doing: Doing) -> None:
    one = life.ended(life.answered(Life(), 100), 100 + lived, WAITS)
    assert one.doing is doing


def test_what_dies_young_again_and_again_comes_to_rest() -> None:
    now, one = 0.0, Life()
    for _ in range(WAITS.tries):
        one = life.answered(life.started(one, now), now)
        one = life.visited(one, 1, now + 10, WAITS)
        one = life.ended(one, now + 20, WAITS)
        rested, now = one.until - (now + 20), one.until
    assert rested == WAITS.rests


def test_what_lives_begins_its_tries_anew() -> None:
    one = life.failed(life.started(Life(), 0), 1, WAITS)
    one = life.answered(life.started(one, 10), 12)
    assert life.visited(one, 1, 20, WAITS).tries == 1
    assert life.visited(one, 1, 80, WAITS).tries == 0


@given(st.floats(0, 1e6), st.floats(0.01, 1e4))
def test_a_start_is_never_said_to_be_over(waited: float, usual: float) -> None:
    assert 0 <= life.percent(life.started(Life(), 0), waited, usual) <= 95


# ---- visits ---------------------------------------------------------------------------------


def begin(visits: Visits, name: str = "v" * 32, visitor: str = "minji", now: float = 0) -> Visit:
    return visits.begin(name, "slug", "app-a", visitor, "ko", now, 1e9)


def test_a_page_is_served_once() -> None:
    visits = Visits()
    visit = begin(visits)
    assert visits.page(visit.name, 1) is visit
    with pytest.raises(GoneError):
        visits.page(visit.name, 2)
    assert visits.get(visit.name) is visit
    visits.end(visit)
    with pytest.raises(GoneError):
        visits.get(visit.name)
    with pytest.raises(UnknownError):
        visits.get("w" * 32)


def test_what_nobody_asks_for_is_forgotten() -> None:
    visits = Visits()
    begin(visits)
    asked = begin(visits, "w" * 32)
    visits.page(asked.name, 1)
    assert [v.name for v in visits.unasked(60, 60)] == ["v" * 32]
    assert visits.unasked(59, 60) == []


def test_what_the_app_does_not_know_has_ended() -> None:
    visits = Visits()
    visit, young, unasked = begin(visits), begin(visits, "w" * 32), begin(visits, "x" * 32)
    visits.page(visit.name, 0)
    visits.page(young.name, SETTLING)
    assert visits.missing("app-a", {visit.name}, 100) == [young]
    assert visits.missing("app-a", (), SETTLING) == [visit]
    assert unasked not in visits.missing("app-a", (), 100)
    assert visits.missing("app-b", (), 100) == []


def test_a_person_begins_so_many_visits_in_a_minute() -> None:
    visits = Visits(Limits(minute=3, linked=5, open=99))

    def begun(visitor: str, now: float) -> bool:
        # a try that was refused, say because all seats are taken, does not count
        may = [visits.may_begin(visitor, now) for _ in range(9)]
        if may[0]:
            begin(visits, f"{visitor}-{len(visits.here)}", visitor, now)
        assert len(set(may)) == 1
        return may[0]

    assert [begun("minji", t) for t in (0, 1, 2, 3)] == [True, True, True, False]
    assert begun("james", 3)
    assert begun("minji", 60)
    # whoever came by a link may be many
    assert [begun("link:1", 60) for _ in range(6)] == [True] * 5 + [False]


def test_a_person_has_so_many_open() -> None:
    visits = Visits(Limits(open=1))
    assert visits.may_begin("minji", 0)
    assert visits.may_begin("link:1", 0)
    first = begin(visits)
    begin(visits, "w" * 32, "link:1")
    assert not visits.may_begin("minji", 1)
    assert visits.may_begin("link:1", 1)
    visits.end(first)
    assert visits.may_begin("minji", 2)


def test_what_nobody_asks_for_holds_a_seat_for_a_moment() -> None:
    visits = Visits()
    asked = begin(visits)
    begin(visits, "w" * 32)
    assert visits.taken("app-a", 9.9) == 2
    visits.page(asked.name, 9.9)
    assert visits.taken("app-a", 10) == 1
    assert visits.taken("app-b", 10) == 0


@pytest.mark.parametrize(("seats", "most"), [(1, 2), (7, 2), (12, 3), (40, 10)])
def test_nobody_takes_more_than_a_part_of_an_app(seats: int, most: int) -> None:
    visits = Visits()

    def come(visitor: str) -> int:
        began = 0
        while visits.shares("app-a", visitor, seats, 0) and began < 99:
            begin(visits, f"{visitor}-{began}", visitor)
            began += 1
        return began

    assert come("minji") == most
    assert come("james") == most
    assert come("link:1") == most
    # by a link come many, each of whom asks for the page
    for visit in list(visits.here.values()):
        visits.page(visit.name, 0)
    assert come("link:1") == most
    assert come("minji") == 0
    # in another app there is room
    assert visits.shares("app-b", "minji", seats, 0)


def test_requests_of_a_visit_are_counted() -> None:
    visit = begin(Visits(Limits(rate=1, burst=3)))
    assert [visit.requests.take(0) for _ in range(4)] == [True, True, True, False]
    assert visit.requests.take(1)
    assert not visit.requests.take(1)


# ---- what passes ----------------------------------------------------------------------------

KERNEL = "0123abcd-0123-0123-0123-0123456789ab"


@pytest.mark.parametrize(
    ("method", "rest", "found"),
    [
        ("GET", "", Wish.PAGE),
        ("GET", "voila/static/voila.js", Wish.FILE),
        ("GET", "voila/templates/lab/static/a b.css", Wish.FILE),
        ("GET", "voila/labextensions/@jupyter-widgets/x/static/1.js", Wish.FILE),
        ("GET", "voila/api/themes/@jupyterlab/theme/index.css", Wish.FILE),
        ("GET", f"api/kernels/{KERNEL}", Wish.MODEL),
        ("GET", f"api/kernels/{KERNEL}/channels", Wish.SOCKET),
        ("POST", f"voila/api/shutdown/{KERNEL}", Wish.LEAVE),
        ("DELETE", "", None),
        ("POST", "", None),
        ("HEAD", "", None),
        ("GET", "state", None),
        ("GET", "voila/files/data.csv", None),
        ("GET", "voila/static/../../state", None),
        ("GET", "voila/static/..", None),
        ("GET", "voila/static/./x", None),
        ("GET", "voila/static//x", None),
        ("GET", "voila/static/a%2e%2e", None),
        ("GET", "voila/static/a\\b", None),
        ("GET", "voila/static/a?b", None),
        ("GET", "voila/static/a\nb", None),
        ("GET", "../state", None),
        ("GET", "api/kernels", None),
        ("POST", "api/kernels", None),
        ("POST", f"api/kernels/{KERNEL}/interrupt", None),
        ("DELETE", f"api/kernels/{KERNEL}", None),
        ("GET", "api/contents/", None),
        ("GET", f"api/kernels/{KERNEL}\n", None),
    ],
)
def test_addresses(method: str, rest: str, found: Wish | None) -> None:
    assert wish(method, rest) is found


def test_headers_of_the_visitor_stay_outside() -> None:
    given = {
        "Cookie": "jupyterhub-session-id=1",
        "Authorization": "token x",
        "X-Madang-Key": "mine",
        "X-Madang-Base": "/elsewhere/",
        "X-Forwarded-For": "10.0.0.1",
        "Accept-Language": "xx",
        "Accept": "*/*",
        "Range": "bytes=0-1",
    }
    found = proxied.inward(given, "the-key", "/base/", "ko")
    assert found == {
        "Accept": "*/*",
        "Range": "bytes=0-1",
        "Accept-Language": "ko",
        "X-Madang-Key": "the-key",
        "X-Madang-Base": "/base/",
    }


def test_headers_of_the_app_stay_inside() -> None:
    given = [
        ("set-cookie", "a=1"),
        ("Location", "https://elsewhere"),
        ("content-security-policy", "none"),
        ("X-Frame-Options", "x"),
        ("content-type", "text/html"),
        ("Retry-After", "30"),
    ]
    assert proxied.outward(given) == [("Content-Type", "text/html"), ("Retry-After", "30")]


def test_the_runner_and_the_gateway_say_the_same() -> None:
    ours = proxied.KEY_HEADER, proxied.BASE_HEADER, proxied.STATE_HEADER, proxied.POLICY
    assert ours == (gate.KEY_HEADER, gate.BASE_HEADER, gate.STATE_HEADER, gate.POLICY)
    assert proxied.ENDED_CODE == runner_visits.ENDED_CODE
    from madang_dashboard.frames import PROTOCOL

    assert proxied.SUBPROTOCOL == PROTOCOL


# ---- the seal -------------------------------------------------------------------------------

SECRET = "s" * 64
ORDER = Order("abc234", 3, "0" * 64, "보고서/앱.ipynb", "small")
NAME = "app-" + "a" * 20


def test_an_order_comes_through() -> None:
    assert sealed.order_of(SECRET, NAME, sealed.options(SECRET, NAME, ORDER)) == ORDER
    assert sealed.NAME.fullmatch(sealed.new_name())


def _changed(**changes: Any) -> dict[str, Any]:
    given = sealed.options(SECRET, NAME, ORDER)
    return {**given, "order": {**given["order"], **changes}}


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"environment": "dashboard"},
        {"order": _changed()["order"]},
        {"order": _changed()["order"], "seal": ""},
        {"order": _changed()["order"], "seal": 1},
        {"order": _changed()["order"], "seal": "가"},
        {**_changed(), "environment": "lab"},
        _changed(content="1" * 64),
        _changed(notebook="other.ipynb"),
        _changed(size="large"),
        _changed(check=True),
        _changed(version=True),
        _changed(version="3"),
        _changed(more=1),
    ],
)
def test_what_the_gateway_did_not_seal_is_refused(given: Any) -> None:
    with pytest.raises(UnsealedError):
        sealed.order_of(SECRET, NAME, given)


def test_a_seal_is_for_one_server_of_one_installation() -> None:
    given = sealed.options(SECRET, NAME, ORDER)
    for secret, name in ((SECRET, "app-" + "b" * 20), ("t" * 64, NAME), ("", NAME), (SECRET, "")):
        with pytest.raises(UnsealedError):
            sealed.order_of(secret, name, given)


@pytest.mark.parametrize(
    "bad", [{"content": "../../x"}, {"notebook": "../x.ipynb"}, {"notebook": "/etc/passwd"}]
)
def test_a_sealed_order_that_leads_elsewhere_is_none(bad: dict[str, Any]) -> None:
    order = dataclasses.replace(ORDER, **bad)
    with pytest.raises(UnsealedError):
        sealed.order_of(SECRET, NAME, sealed.options(SECRET, NAME, order))


def test_keys_differ_and_say_nothing_of_the_secret() -> None:
    keys = {sealed.key(SECRET, NAME), sealed.key(SECRET, NAME[:-1] + "b"), sealed.key("t", NAME)}
    assert len(keys) == 3
    assert all(len(key) == 64 for key in keys)
    # what the Hub shows to whoever may read options is no key
    assert sealed.key(SECRET, NAME) not in str(sealed.options(SECRET, NAME, ORDER))
    with pytest.raises(ValueError, match="empty"):
        sealed.key("", NAME)


def test_the_runners_state_is_read() -> None:
    trouble = {"at": 1, "where": "cell", "text": "boom", "visit": "v", "cell": 0, "source": "x"}
    seen = Seen.of(
        {
            "visits": [{"visit": "v", "opened": 1, "last_activity": 2, "memory": 3, "more": 1}],
            "seats": 4,
            "memory_limit": None,
            "last_activity": 5,
            "errors": [trouble, {**trouble, "visit": None, "cell": None, "source": None}],
        }
    )
    assert seen.seats == 4
    assert seen.memory_limit == 0
    assert list(seen.visits) == ["v"]
    assert len(seen.errors) == 2
    assert [t.cell for t in seen.by_visit["v"]] == [0]


# ---- the check ------------------------------------------------------------------------------


class NoRun:
    """Apps whose server does not come, or ends."""

    def __init__(self, error: Exception) -> None:
        self.error, self.names = error, list[str]()

    def check_begins(self, name: str, order: Order) -> None:
        self.names.append(name)

    def check_ends(self, name: str, order: Order) -> None:
        self.names.remove(name)

    async def serve(self, name: str, order: Order) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "ran"), [(StartError("no image"), False), (RunnerAwayError("gone"), True)]
)
async def test_only_a_server_that_does_not_start_is_no_run(error: Exception, ran: bool) -> None:
    apps = NoRun(error)
    result = await check(cast(Apps, apps), ORDER)
    assert (result.passed, result.ran, str(error) in result.why) == (False, ran, True)
    assert apps.names == []
    version = Version(
        1, "0" * 64, "a.ipynb", "dashboard", "small", "mia", 1, why=views.kept(result)
    )
    said = views.said(version)
    assert (said.cell, said.text, said.how) == (None, result.why, "ran" if ran else "not run")
    assert views.kept(CheckResult(True)) == ""
