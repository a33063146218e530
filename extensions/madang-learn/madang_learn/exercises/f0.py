"""F0: cells and kernels."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from madang_learn.outcomes import Exercise, Outcome, number, right, wrong
from madang_learn.words import Text

PRICE, CUPS, OFF = 4500, 3, 300
PLAN, METER, TARIFF = 400, 420, 150


def discounted(answer: object) -> Outcome:
    """Three coffees, each with something off."""
    value = number(answer)
    if value == (PRICE - OFF) * CUPS:
        return right("한 잔마다 깎은 값입니다.", "That is with something off each coffee.")
    if value == PRICE * CUPS:
        return wrong("아직 아무것도 깎지 않았습니다.", "Nothing has been taken off yet.")
    if value == PRICE * CUPS - OFF:
        return wrong(
            "한 잔에서만 깎았습니다. 세 잔 모두 깎아 줍니다.",
            "Only one coffee is cheaper. All three are.",
        )
    if value == PRICE - OFF:
        return wrong(
            "한 잔의 값입니다. 세 잔의 값을 구하세요.", "That is one coffee. Work out three."
        )
    return wrong(
        "한 잔의 값을 먼저 구하고, 잔 수를 곱해 보세요.",
        "Work out one coffee first, then multiply by the cups.",
    )


def income(answer: object) -> Outcome:
    """The income, from cells that were run from top to bottom."""
    value = number(answer)
    if value == PLAN * TARIFF:
        return wrong(
            f"수입이 {value:,.0f}원입니다. 계량기의 값이 정해지기 전에 수입을 구하고 있습니다.",
            f"The income is {value:,.0f} won. It is worked out before the meter's value is known.",
        )
    if value != METER * TARIFF:
        return wrong(
            f"수입이 {value:,.0f}원입니다. income을 energy와 tariff의 곱으로 구했는지 보세요.",
            f"The income is {value:,.0f} won. Is income energy times tariff?",
        )
    return in_order(_history())


def in_order(history: Sequence[str]) -> Outcome:
    """Whether the cells, as the kernel ran them since it began, ran in an order that gives the right value.

    How they stand in the notebook, the kernel does not know.

    Args:
        history: the cells' sources in the order of running; empty where nobody knows.
    """
    if not history:
        return right("값이 맞습니다.", "The value is right.")
    meter = [n for n, cell in enumerate(history) if re.search(r"(?m)^energy\s*=\s*420\b", cell)]
    earned = [
        n
        for n, cell in enumerate(history)
        if re.search(r"(?m)^income\s*=\s*(energy\s*\*\s*tariff|tariff\s*\*\s*energy)\b", cell)
    ]
    if not meter or not earned:
        return wrong(
            "셀의 내용은 그대로 두고 순서만 바꾸세요. 지운 셀은 Esc를 누른 다음 Z를 누르면 돌아옵니다.",
            "Leave the cells as they are and change only their order. Esc and then Z bring a deleted cell back.",
        )
    if len(meter) > 1 or len(earned) > 1:
        return wrong(
            "값은 맞습니다. 그런데 셀을 여러 번 실행했습니다. 셀의 순서를 고친 다음, 커널을 재시작하고 모든 셀을 실행하세요.",
            "The value is right, but cells were run more than once. Put the cells in order, then restart the kernel and "
            "run all cells.",
        )
    return right(
        "이 순서로 실행하면 값이 맞습니다. 화면의 셀도 이 순서인지 한 번 더 보세요.",
        "Run in this order, the value is right. See that the cells stand in this order, too.",
    )


def _history() -> list[str]:
    """The cells that this kernel has run; none outside of IPython."""
    main = sys.modules.get("__main__")
    found = getattr(main, "In", None)
    return [str(cell) for cell in found if str(cell).strip()] if isinstance(found, list) else []


EXERCISES = {
    1: Exercise(
        discounted,
        (
            Text("한 잔의 값은 price에서 300을 뺀 것입니다.", "One coffee costs price minus 300."),
            Text(
                "빼기를 먼저 하려면 괄호로 묶습니다: (a - b) * c",
                "Brackets make the minus come first: (a - b) * c",
            ),
        ),
    ),
    2: Exercise(
        income,
        (
            Text(
                "income을 구하는 셀이 실행될 때 energy는 얼마였을까요?",
                "What was energy when the cell with income ran?",
            ),
            Text(
                "income 셀을 energy = 420 셀 아래로 옮기고, 커널을 재시작해서 모든 셀을 실행하세요.",
                "Move the cell with income below the cell with energy = 420, then restart the kernel and run all cells.",
            ),
        ),
    ),
}
