"""``madang environment …``: environments that mentors propose, as the operator handles them.

`build` runs on the machine, which has the engine; the Hub's container, which has the database, is asked and
told by the same command inside (`waiting`, `note`), and the short-lived container that may write the
data folder keeps the list (`install`, `forget`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from madang_hub.catalog import Catalog
from madang_hub.deploy.server import ServerError, Stack
from madang_hub.image_table import TABLE
from madang_hub.installation import Add, Installation
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.places import Places
from madang_hub.shelf import archive, carried_site, proposed
from madang_hub.shelf.installed import TEAM_MADE, Installed
from madang_hub.shelf.locking import Locker, LockingError
from madang_hub.shelf.proposal_store import Proposals
from madang_hub.shelf.proposals import PARENT, Proposal, ProposalRefused, new_proposal, wish
from madang_hub.shelf.repository import RepositoryError, read
from madang_hub.shelf.versions import Version

ACTOR = "madang"


class TeamEnvironmentError(RuntimeError):
    """A sentence for the operator."""


# ---- on the machine -------------------------------------------------------------------------


def build(stack: Stack, root: Path) -> Iterator[str]:
    """Build what is approved and not on the shelf yet; a line for each.

    Raises:
        ServerError: the Hub's container cannot be asked or told.
    """
    catalog = Catalog.load(root / TABLE)
    for found in json.loads(_inside(stack, "waiting")):
        wanted = proposed.Wanted(
            found["environment"], tuple(found["requirements"]), tuple(found["apt"]), found["lock"]
        )
        yield f"building {wanted.name}: {found['title']['en']} ({found['team']}) …"
        about = {"id": found["id"]}
        try:
            reference = proposed.build(wanted, catalog, root, stack.environ)
            if found["state"] == "approved":
                done = _inside(stack, "note", {**about, "step": "built", "image": reference})
                if done.strip() != "built":
                    yield f"{wanted.name}: not offered, it is {done.strip()} now"
                    continue
            proposed.smoke(wanted, reference, root, stack.environ)
        except proposed.ProposedError as error:
            _inside(stack, "note", {**about, "failure": str(error)})
            yield f"{wanted.name}: not offered. {error}"
            continue
        version = Version(
            environment=wanted.name,
            image=wanted.name,
            release=catalog.release,
            title=found["title"],
            purpose=found["purpose"],
            sizes=tuple(found["sizes"]),
            who=(f"group:{found['team']}",),
            installed=datetime.now(UTC),
        )
        stack.prepare(["environment", "install"], version.model_dump_json().encode())
        done = _inside(stack, "note", {**about, "step": "offer"}).strip()
        if done == "offered":
            yield f"{reference}: offered to {found['team']}"
        else:
            yield f"{wanted.name}: not offered, it is {done} now"


def retire(stack: Stack) -> Iterator[str]:
    """Remove the images of what was withdrawn, where no container is made from them; a line for each."""
    for found in json.loads(_inside(stack, "withdrawn")):
        reference = found["image"]
        if not stack.docker("images", "--quiet", reference).strip():
            continue
        if users := stack.docker(
            "ps", "--all", "--quiet", "--filter", f"ancestor={reference}"
        ).split():
            yield f"{reference}: kept, {len(users)} container(s) of it are there"
            continue
        stack.prepare(["environment", "forget", found["environment"]])
        stack.docker("rmi", reference)
        yield f"{reference}: removed, it was withdrawn"


def _inside(stack: Stack, word: str, content: Any = None) -> str:
    done = stack.inside(
        ["environment", word], b"" if content is None else json.dumps(content).encode()
    )
    if done.returncode:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
        raise ServerError(
            f"'madang environment {word}' in the Hub's container failed:\n" + "\n".join(tail)
        )
    return done.stdout.decode("utf-8")


# ---- in the stack's containers --------------------------------------------------------------


def row(one: Proposal) -> dict[str, Any]:
    return {
        "id": one.id,
        "environment": one.environment,
        "state": one.state,
        "team": one.team,
        "title": one.title.model_dump(),
        "purpose": one.purpose.model_dump(),
        "sizes": one.sizes,
        "requirements": one.requirements,
        "apt": one.apt,
        "lock": one.lock,
        "image": one.image,
    }


def note(store: Proposals, audit: Audit, said: dict[str, Any], now: datetime) -> str:
    """Keep what came of a build: a step, or why it failed; the state afterwards.

    What was withdrawn in the meantime stays so.
    """
    one = store.get(int(said["id"]))
    if one is None:
        raise TeamEnvironmentError(f"There is no proposal {said['id']}.")
    team, about = one.team, {"proposal": one.id, "title": one.title.ko}
    if failure := said.get("failure"):
        store.note_failure(one.id, str(failure))
        audit.write(now, ACTOR, "proposal.failed", team, team=team, **about)
        return one.state
    try:
        if said["step"] == "built":
            return store.step(one, "built", ACTOR, now, image=str(said["image"])).state
        state = store.step(one, "offer", ACTOR, now).state
    except ProposalRefused:
        return one.state
    audit.write(now, ACTOR, "proposal.offered", team, team=team, **about)
    return state


def in_words(one: Proposal) -> str:
    """One line of `madang environment list`."""
    more = one.failure or one.reason or one.image
    first = more.splitlines()[0] if more else ""
    return f"{one.id}\t{one.state}\t{one.team}\t{one.author}\t{one.title.en}\t{first}".rstrip()


def propose(
    args: argparse.Namespace, places: Places, root: Path, data: bytes, now: datetime
) -> int:
    """Propose the archive ``data`` for a team in the name of one of its mentors; prints the proposal's number.

    Raises:
        TeamEnvironmentError: everything that is wrong.
    """
    form = {
        "title_ko": args.title_ko,
        "title_en": args.title_en,
        "purpose_ko": args.purpose_ko,
        "purpose_en": args.purpose_en,
        "sizes": args.sizes.split(","),
    }
    database = Database(places.database_url("hub"))
    try:
        roles = Directory(database).memberships(person=args.mentor, team=args.team)
        if not any(m.role == "mentor" for m in roles):
            raise TeamEnvironmentError(
                f"{args.mentor or 'Nobody'} is no mentor of {args.team!r}; name one by --as."
            )
        wanted = wish(form, Catalog.load(root / TABLE))
        reading = read(archive.files_of(data))
        lock = Locker(root, lambda: carried_site.read(places.hub)).lock(
            reading.requirements, PARENT
        )
        source = {"kind": "upload", "name": Path(args.name).name}
        new = new_proposal(args.team, args.mentor, now, wanted, source, reading, lock)
        identity = Proposals(database).add(new)
        Audit(database).write(
            now, args.mentor, "proposal.made", args.team, team=args.team, proposal=identity,
            title=wanted.title.ko,
        )  # fmt: skip
    except (ProposalRefused, RepositoryError, LockingError) as error:
        said = error.sentence.text("en") if isinstance(error, LockingError) else str(error)
        raise TeamEnvironmentError(f"Nothing was proposed:\n{said}") from error
    finally:
        database.close()
    print(
        f"Proposed as number {identity}; an admin reviews it on the page 'Environments of teams'."
    )
    return 0


def _words(args: argparse.Namespace) -> list[str]:
    """The same command for the Hub's container, which gets the archive by stdin."""
    options = {
        "--team": args.team, "--as": args.mentor, "--title-ko": args.title_ko, "--title-en": args.title_en,
        "--purpose-ko": args.purpose_ko, "--purpose-en": args.purpose_en, "--sizes": args.sizes,
    }  # fmt: skip
    return [
        "environment",
        "propose",
        Path(args.name).name,
        *(f"{k}={v}" for k, v in options.items()),
    ]


def _propose(args: argparse.Namespace, here: Installation, places: Places) -> int:
    if here.inside:
        return propose(args, places, here.root, sys.stdin.buffer.read(), datetime.now(UTC))
    try:
        data = Path(args.name).read_bytes()
    except OSError as error:
        raise TeamEnvironmentError(
            f"{args.name or 'The archive'} cannot be read: {error.strerror}."
        ) from error
    if places.mode == "embedded":
        return propose(args, places, here.root, data, datetime.now(UTC))
    done = here.stack(places).inside(_words(args), data)
    sys.stdout.write(done.stdout.decode("utf-8", "replace"))
    sys.stderr.write(done.stderr.decode("utf-8", "replace"))
    return int(done.returncode)


def environment(args: argparse.Namespace, here: Installation) -> int:
    """Environments that mentors propose: list them, propose one, build what an admin approved."""
    places: Places = here.places()[0]
    if args.action == "propose":
        return _propose(args, here, places)
    if args.action == "build" and places.mode != "server":
        raise TeamEnvironmentError(
            "Embedded mode runs without containers, so nothing can be built. Install a Docker Engine first."
        )
    if not here.inside and places.mode == "server":
        stack: Stack = here.stack(places)
        if args.action == "list":
            print(_inside(stack, "list"), end="")
            return 0
        if args.action == "build":
            lines = list(_shown(build(stack, here.root)))
            if not lines:
                print("Nothing waits to be built.")
            return 1 if any(": not offered" in line for line in lines) else 0
    if args.action in ("install", "forget"):
        made = Installed(places.environments, TEAM_MADE)
        if args.action == "install":
            new = Version.model_validate_json(sys.stdin.buffer.read())
            made.save([*(v for v in made.load() if v.environment != new.environment), new])
        else:
            made.save(v for v in made.load() if v.environment != args.name)
        return 0
    database = Database(places.database_url("hub"))
    store = Proposals(database)
    try:
        if args.action == "list":
            print("".join(f"{in_words(one)}\n" for one in store.read()), end="")
        elif args.action == "waiting":
            print(json.dumps([row(one) for one in store.read(states=("approved", "built"))]))
        elif args.action == "withdrawn":
            print(json.dumps([row(p) for p in store.read(states=["withdrawn"]) if p.image]))
        else:
            print(note(store, Audit(database), json.load(sys.stdin), datetime.now(UTC)))
    finally:
        database.close()
    return 0


def _shown(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        print(line, flush=True)
        yield line


def register(add: Add) -> None:
    """Add the command; ``add`` makes its parser."""
    parser = add("environment", environment)
    parser.add_argument(
        "action",
        choices=["list", "propose", "build", "waiting", "withdrawn", "note", "install", "forget"],
        metavar="list|propose|build",
    )
    parser.add_argument(
        "name", nargs="?", default="", metavar="ARCHIVE", help="propose: .zip or .tar.gz"
    )
    parser.add_argument("--team", default="", help="propose: class:2026-a")
    parser.add_argument(
        "--as", dest="mentor", default="", metavar="MENTOR", help="propose: in whose name"
    )
    for name in ("title", "purpose"):
        for language in ("ko", "en"):
            parser.add_argument(
                f"--{name}-{language}", default="", help="propose: as people read it"
            )
    parser.add_argument("--sizes", default="small", help="propose: 'small,medium' (default: small)")
