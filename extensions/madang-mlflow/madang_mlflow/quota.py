"""Rules: how many bytes of files a workspace may hold, and when they are counted.

Words: a workspace's bytes are *measured* by looking at every stored file, now and then. What was uploaded
since is *added*, what is on its way is *passing*. So the sum is never less than what lies there, except for
what was put there past this server. It can be more: a file that was overwritten or deleted counts until the
next measuring; therefore nothing is refused before it was measured anew.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Bytes of a GB.
GB = 10**9

#: Seconds for which a measuring is good.
GOOD_FOR = 900.0

#: Seconds between two measurings of a workspace that is full.
AGAIN_AFTER = 10.0

#: Seconds after which a passing upload is forgotten: its process was killed.
LOST_AFTER = 86_400.0

#: The requests that bring files.
_UPLOADS = re.compile(
    r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/.+|/ajax-api/2\.0/mlflow/upload-artifact",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What workspaces may hold, in bytes; 0: as much as they like."""

    person: int = 0
    team: int = 0

    def of(self, workspace: str) -> int:
        """The limit of one."""
        return self.team if workspace.startswith("g-") else self.person


@dataclass(frozen=True, slots=True)
class Usage:
    """What a workspace holds.

    Attributes:
        measured: bytes of its files.
        at: when they were, in seconds since 1970.
        added: bytes uploaded since.
        passing: bytes of uploads on their way.
    """

    measured: int
    at: float
    added: int = 0
    passing: int = 0

    @property
    def used(self) -> int:
        """Bytes that count."""
        return self.measured + self.added + self.passing


def brings_files(method: str, path: str) -> bool:
    """Whether a request stores a file that its body holds."""
    return method in ("PUT", "POST") and _UPLOADS.fullmatch(path) is not None


def fits(usage: Usage, size: int, limit: int) -> bool:
    """Whether so many bytes more may come. An empty file always may: it takes no room."""
    return limit == 0 or size == 0 or usage.used + size <= limit


def to_measure(usage: Usage | None, now: float, *, refusing: bool = False) -> bool:
    """Whether a workspace must be measured.

    Args:
        usage: what is known; None: nothing.
        now: seconds since 1970.
        refusing: an upload would be refused by what is known.
    """
    if usage is None:
        return True
    age = now - usage.at
    return age < 0 or age >= (AGAIN_AFTER if refusing else GOOD_FOR)


def length(values: list[bytes]) -> int:
    """The bytes that a request announces by ``Content-Length``; 0 where it does not say."""
    text = values[0] if len(values) == 1 else b""
    return int(text) if re.fullmatch(rb"[0-9]{1,18}", text) else 0


def limits(env: Mapping[str, str], problems: list[str]) -> Limits:
    """The operator's settings.

    Args:
        env: ``MADANG_TRACKING_QUOTA_GB`` of a person's workspace, ``MADANG_TRACKING_TEAM_QUOTA_GB`` of a
            team's; in GB, fractions too; 0 or nothing: no limit.
        problems: a sentence for each that is wrong is added.
    """

    def of(name: str) -> int:
        text = env.get(name, "") or "0"
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e9:
            problems.append(f"{name} must be a number of GB, such as 20 (0: no limit).")
            return 0
        return round(value * GB)

    return Limits(of("MADANG_TRACKING_QUOTA_GB"), of("MADANG_TRACKING_TEAM_QUOTA_GB"))


def in_gb(size: int) -> str:
    """Bytes for people."""
    if size and size < GB / 100:
        return f"{max(size / 10**6, 0.01):.2f} MB"
    return f"{size / GB:.2f} GB"


def full(usage: Usage, limit: int) -> tuple[str, str]:
    """What is said when an upload is refused, in Korean and in English."""
    used, most = in_gb(usage.used), in_gb(limit)
    return (
        f"이 작업 공간의 파일 저장 한도({most}, 현재 {used} 사용)를 넘으므로 파일을 저장하지 않았습니다. "
        "필요 없는 실행(run)과 모델을 삭제한 뒤 운영자에게 비워 달라고 요청하거나, 더 필요하면 운영자에게 "
        "알려 주세요.",
        f"The file was not stored: this workspace may hold {most} and has {used}. Delete runs and models "
        "that you no longer need and ask the operator to clear them, or to allow more.",
    )
