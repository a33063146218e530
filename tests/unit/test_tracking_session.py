"""The gate's cookies."""

from cryptography.fernet import Fernet
from hypothesis import example, given
from hypothesis import strategies as st

from madang_mlflow.session import Sessions, keys, read_cookies

NEW, OLD = "n" * 40, "o" * 40


def sessions(*secrets: str, seconds: int = 60, secure: bool = False) -> Sessions:
    return Sessions(
        keys(list(secrets or (NEW,))), "service-mlflow", "/services/mlflow/", secure, seconds
    )


def sent(*set_cookies: str) -> dict[str, str]:
    """What a browser sends back."""
    return read_cookies(["; ".join(value.split(";")[0] for value in set_cookies).encode()])


def test_a_session_is_read_by_any_worker_with_the_key() -> None:
    cookie = sessions(NEW).write_session("token")
    assert "token" not in cookie
    for part in ("HttpOnly", "SameSite=Lax", "Path=/services/mlflow/"):
        assert part in cookie
    assert "Secure" in sessions(secure=True).write_session("t")
    assert sessions(NEW).read_session(sent(cookie)) == "token"
    assert sessions(OLD).read_session(sent(cookie)) is None


def test_keys_change_without_signing_anybody_out() -> None:
    cookie = sessions(OLD).write_session("token")
    assert sessions(NEW, OLD).read_session(sent(cookie)) == "token"


def test_tampered_foreign_and_old_cookies_are_nothing() -> None:
    one = sessions()
    cookies = sent(one.write_session("token"))
    for index in range(0, len(cookies["service-mlflow"]), 7):
        value = list(cookies["service-mlflow"])
        value[index] = "A" if value[index] != "A" else "B"
        assert one.read_session({"service-mlflow": "".join(value)}) is None
    assert (
        one.read_session({"service-mlflow": Fernet(Fernet.generate_key()).encrypt(b"{}").decode()})
        is None
    )
    assert one.read_session({"service-mlflow": "가"}) is None
    assert sessions(seconds=-1).read_session(cookies) is None


def test_a_state_cookie_is_no_session_and_the_other_way_round() -> None:
    one = sessions()
    pending, state = one.begin("/services/mlflow/x", "verifier")
    value = next(iter(sent(state).values()))
    assert one.read_session({"service-mlflow": value}) is None
    name = next(iter(sent(state)))
    session = sent(one.write_session("token"))["service-mlflow"]
    assert one.finish({name: session}, pending.state) is None


def test_tabs_sign_in_side_by_side() -> None:
    one = sessions()
    begun = [one.begin(f"/services/mlflow/{tab}", f"v{tab}") for tab in range(3)]
    cookies = sent(*(cookie for _, cookie in begun))
    for pending, _ in begun:
        assert one.finish(cookies, pending.state) == pending
    assert one.finish(cookies, "other") is None
    assert one.finish(cookies, "\ud800") is None
    assert one.sweep(cookies) == []
    many = {**cookies, **{f"service-mlflow-state-{n}": "x" for n in range(4)}}
    assert len(one.sweep(many)) == 7


@given(st.binary(max_size=80))
@example(b"")
@example(b";;;")
@example(b"=")
@example(b"a=b=c; d")
def test_any_cookie_header_is_read(header: bytes) -> None:
    assert sessions().read_session(read_cookies([header])) is None
