"""A whole year of trainees signs in at once: each opens the form, sends it and loads the home page."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from statistics import median

import aiohttp
from yarl import URL

PASSWORD = "세 낱말로 된 비밀번호"  # of people who live for a measurement


@dataclass(frozen=True)
class SignIns:
    """Seconds until each person saw the home page (in order of time), and how many did not."""

    times: list[float]
    errors: list[str]

    @property
    def last(self) -> float:
        return self.times[-1] if self.times else math.inf

    @property
    def middle(self) -> float:
        return median(self.times) if self.times else math.inf

    @property
    def p95(self) -> float:
        return self.times[math.ceil(0.95 * len(self.times)) - 1] if self.times else math.inf


async def together(url: str, names: list[str], password: str) -> SignIns:
    """Everybody of ``names`` at the same moment, each with a browser of the own (no shared cookies)."""
    connector = aiohttp.TCPConnector(limit=0)
    outcomes = await asyncio.gather(*(_one(url, n, password, connector) for n in names))
    await connector.close()
    return SignIns(
        sorted(o for o in outcomes if isinstance(o, float)),
        [o for o in outcomes if isinstance(o, str)],
    )


async def _one(url: str, name: str, password: str, connector: aiohttp.TCPConnector) -> float | str:
    begin = time.perf_counter()
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=300),
        ) as browser:
            async with browser.get(f"{url}/hub/login") as form:
                await form.read()
                if form.status != 200:
                    return f"sign-in page: {form.status}"
            cookies = browser.cookie_jar.filter_cookies(URL(f"{url}/hub/login"))
            async with browser.post(
                f"{url}/hub/login",
                params={"_xsrf": cookies["_xsrf"].value, "next": "/hub/home"},
                data={"username": name, "password": password},
                headers={"Sec-Fetch-Mode": "navigate"},
                allow_redirects=False,
            ) as sent:
                if sent.status != 302:
                    return f"sign-in: {sent.status}"
            async with browser.get(f"{url}/hub/home") as home:
                page = await home.text()
                if home.status != 200 or home.url.path != "/hub/home" or name not in page:
                    return f"home page: {home.status} {home.url.path}"
    except (aiohttp.ClientError, TimeoutError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return time.perf_counter() - begin
