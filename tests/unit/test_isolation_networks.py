"""Plans of user servers' networks: they fit, and never meet."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.isolation import networks
from madang_hub.isolation.networks import (
    CLOSED_FROM,
    INTERFACE_NAME_MAX,
    PoolExhausted,
    capacity,
    create_kwargs,
    index_of,
    next_free,
    plan,
    slice_of,
)

POOL = IPv4Network("10.213.0.0/20")


@st.composite
def pools(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(8, 29))
    start = draw(st.integers(0, 2**32 - 1))
    return IPv4Network((start, prefix), strict=False)


@given(pools(), st.data())
def test_a_plan_lies_in_its_pool(pool: IPv4Network, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, capacity(pool) - 1))
    made = plan(pool, index)
    assert made.subnet.subnet_of(pool)
    assert {made.gateway, made.address} <= set(made.subnet.hosts())
    assert made.gateway != made.address
    assert len(made.bridge) <= INTERFACE_NAME_MAX
    assert index_of(made.name) == index


@given(pools(), st.data())
def test_two_plans_share_nothing(pool: IPv4Network, data: st.DataObject) -> None:
    index = st.integers(0, capacity(pool) - 1)
    first, second = (plan(pool, data.draw(index)) for _ in range(2))
    if first.index == second.index:
        assert first == second
    else:
        assert not first.subnet.overlaps(second.subnet)
        assert first.name != second.name
        assert first.bridge != second.bridge


@given(pools(), st.data())
def test_a_closed_network_has_its_slice_and_nothing_else_of_an_open_one(
    pool: IPv4Network, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, capacity(pool) - 1))
    opened, closed = plan(pool, number), plan(pool, CLOSED_FROM + number)
    assert (opened.closed, closed.closed) == (False, True)
    assert closed.subnet == opened.subnet
    assert closed.name != opened.name
    assert index_of(closed.name) == closed.index
    assert slice_of(closed.index) == slice_of(opened.index) == number
    # the guard's rules for closed ones are for interfaces that begin so
    assert closed.bridge.startswith("mdgd")
    assert not opened.bridge.startswith("mdgd")
    assert create_kwargs(closed)["internal"] is True
    assert "internal" not in create_kwargs(opened)
    with pytest.raises(ValueError, match="outside"):
        plan(pool, CLOSED_FROM + capacity(pool))


@given(st.sets(st.integers(0, 31)))
def test_the_next_free_is_the_lowest_that_nobody_has(used: set[int]) -> None:
    pool = IPv4Network("10.0.0.0/24")
    if len(used) == capacity(pool):
        with pytest.raises(PoolExhausted, match="MADANG_NETWORK"):
            next_free(used, pool)
    else:
        free = next_free(used, pool)
        assert free not in used
        assert set(range(free)) <= used


def test_three_hundred_servers_fit_by_default() -> None:
    assert capacity(POOL) >= 300


@pytest.mark.parametrize(("pool", "places"), [("10.0.0.0/29", 1), ("10.0.0.0/30", 0)])
def test_a_small_pool(pool: str, places: int) -> None:
    assert capacity(IPv4Network(pool)) == places


@pytest.mark.parametrize("index", [-1, 512])
def test_an_index_outside_of_the_pool_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="MADANG_NETWORK"):
        plan(POOL, index)


def test_a_long_interface_name_is_refused() -> None:
    with pytest.raises(ValueError, match="MADANG_BRIDGE_PREFIX"):
        plan(IPv4Network("10.0.0.0/8"), 2_000_000, prefix="abcdefghi")


@pytest.mark.parametrize(
    "name",
    ["madang-u-", "madang-u-01", "madang-u--1", "madang-u-1x", "xmadang-u-1", "other-u-1",
     "madang-u-١", "madang-u-1\n", "bridge", ""],
)  # fmt: skip
def test_names_of_others_have_no_index(name: str) -> None:
    assert index_of(name) is None


def test_instances_do_not_see_each_other() -> None:
    assert plan(POOL, 3, instance="second").name == "second-u-3"
    assert index_of("second-u-3", instance="second") == 3
    assert index_of("second-u-3", instance="madang") is None


def test_what_the_engine_is_asked_for() -> None:
    assert create_kwargs(plan(POOL, 2)) == {
        "name": "madang-u-2",
        "driver": "bridge",
        "check_duplicate": True,
        "enable_ipv6": False,
        "labels": {"madang.instance": "madang", "madang.network": "2"},
        "options": {"com.docker.network.bridge.name": "mdg2"},
        "ipam": {
            "Driver": "default",
            "Config": [{"Subnet": "10.213.0.16/29", "Gateway": "10.213.0.17"}],
        },
    }
    assert networks.NETWORK_LABEL == "madang.network"
