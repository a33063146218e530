"""``madang user …``: people and their local accounts."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

import requests

from madang_hub.installation import Add, Installation
from madang_hub.people.accounts import AccountError
from madang_hub.people.database import Database
from madang_hub.people.enrolment import Enrolment, describe
from madang_hub.places import Places, read_secret


def ensure_admin(places: Places) -> str:
    """Make the admin's account if it is missing; how the admin signs in, in words."""
    name = places.settings.admin
    database = Database(places.database_url("hub"))
    enrolment = Enrolment(database)
    now = datetime.now(UTC)
    try:
        person = enrolment.directory.person(name)
        if person is not None and person.ended is not None:
            return f"cannot: the access has ended; scripts/madang user restore {name} gives it back"
        found = next((a for a in enrolment.accounts.names() if a.name == name), None)
        if found is None:
            password = enrolment.password(name, now) if person else enrolment.add(name, now)
            return (
                f"with the one-time password  {password}\n"
                "            (open 'one-time password' on the sign-in page and choose your own there)"
            )
    finally:
        database.close()
    which = "the one-time password of the first start" if found.one_time else "your own password"
    return f"with {which}; lost it? scripts/madang user password {name}"


def user(args: argparse.Namespace, here: Installation) -> int:
    """People and their local accounts: add, password, remove, restore, list."""
    places, _ = here.places()
    if places.mode == "server" and not here.inside:
        words = [w for w in (args.action, args.name) if w]
        words += [f"--name={args.display_name}"] if args.display_name else []
        words += [f"--email={args.email}"] if args.email else []
        words += ["--admin"] if args.admin else []
        print(
            here.stack(places).compose(
                "exec", "-T", "hub", "python", "-m", "madang_hub", "user", *words
            ),
            end="",
        )
        return 0
    if args.action == "ensure-admin":
        print(ensure_admin(places))
        return 0
    if args.action != "list" and not args.name:
        raise AccountError(f"Say whose account: madang user {args.action} NAME")
    if args.action != "add" and (args.display_name or args.email or args.admin):
        raise AccountError("--name, --email and --admin go with 'madang user add NAME'.")
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(places.settings.timezone)).date()
    database = Database(places.database_url("hub"))
    enrolment = Enrolment(database)
    try:
        if args.action == "list":
            for enrolled in enrolment.everybody():
                admin = enrolled.person.name == places.settings.admin
                print(describe(enrolled, now, today, places.settings.one_time_days, admin=admin))
            return 0
        if args.action == "remove":
            enrolment.end(args.name, now)
            _forget(places, args.name)
            print(
                f"{args.name} can no longer sign in; the files stay. A mistake? 'madang user restore "
                f"{args.name}'"
            )
            return 0
        if args.action == "add":
            password = enrolment.add(
                args.name,
                now,
                display_name=args.display_name,
                email=args.email or None,
                admin=args.admin,
            )
        elif args.action == "restore":
            password = enrolment.restore(args.name, now, today)
        else:
            password = enrolment.password(args.name, now)
        print(f"{args.name}\tone-time password: {password}")
    finally:
        database.close()
    return 0


def _forget(places: Places, name: str) -> None:
    """End the sessions, tokens and servers of ``name``: the Hub forgets the person.

    Raises:
        AccountError: the Hub did not do it, so an open session may go on.
    """
    token = read_secret(places.secrets, "operator_token")
    headers = {"Authorization": f"token {token}"}
    try:
        reply = requests.delete(
            f"{places.hub_api}/users/{quote(name)}", headers=headers, timeout=120
        )
    except requests.RequestException as error:
        reason = f"the Hub does not answer ({error.__class__.__name__})"
    else:
        if reply.ok or reply.status_code == 404:
            return
        reason = f"the Hub said {reply.status_code}"
    raise AccountError(
        f"{name} cannot sign in any more, but {reason}, so an open session and server may go on. Delete the "
        "person on the Hub's admin page, or stop Madang."
    )


def register(add: Add) -> None:
    """Add the command; ``add`` makes its parser."""
    people = add("user", user)
    people.add_argument(
        "action", choices=["add", "password", "remove", "restore", "list", "ensure-admin"]
    )
    people.add_argument("name", nargs="?", default="", help="the user name")
    people.add_argument(
        "--name", dest="display_name", default="", help="add: the person's name, '김민지'"
    )
    people.add_argument("--email", default="", help="add: the person's e-mail address")
    people.add_argument("--admin", action="store_true", help="add: the person is an admin")
