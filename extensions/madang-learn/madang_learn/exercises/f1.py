"""F1: arrays, a table, a figure."""

from __future__ import annotations

from typing import Any

from madang_learn.outcomes import Exercise, Outcome, number, right, wrong
from madang_learn.words import Text

ASKED = 7


def _digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


def _ink() -> list[float]:
    """The mean ink of the digits 0 to 9."""
    digits = _digits()
    ink = digits.images.sum(axis=(1, 2))
    return [float(ink[digits.target == digit].mean()) for digit in range(10)]


def sevens(answer: object) -> Outcome:
    """How many pictures show the digit that was asked for."""
    if str(getattr(answer, "dtype", "")) == "bool" and getattr(answer, "size", 1) > 1:
        return wrong(
            "비교까지는 맞습니다. 이제 True를 모두 더하세요.",
            "The comparison is there. Now sum the Trues.",
        )
    value, target = number(answer), _digits().target
    if value == (target == ASKED).sum():
        return right(f"7은 {value:.0f}장입니다.", f"There are {value:.0f} sevens.")
    if value == len(target):
        return wrong(
            "모든 그림의 수입니다. 7인 것만 세세요.", "That is all pictures. Count only the sevens."
        )
    for digit in range(10):
        if value == (target == digit).sum():
            return wrong(
                "다른 숫자를 센 것 같습니다. 7과 비교했는지 보세요.",
                "That looks like another digit. Did you compare with 7?",
            )
    return wrong(
        "digits.target을 7과 비교하고 더해 보세요.", "Compare digits.target with 7, and sum."
    )


def mean_ink(answer: Any) -> Outcome:
    """The mean ink of each digit, in any container with ten values by digit."""
    import numpy as np

    if isinstance(answer, dict):
        answer = [answer.get(digit) for digit in range(10)]
    if "digit" in getattr(answer, "columns", ()):
        answer = answer.set_index("digit")
    if hasattr(answer, "sort_index"):
        answer = answer.sort_index()
    values = np.asarray(getattr(answer, "values", answer), dtype=float).squeeze()
    if values.shape != (10,):
        return wrong(
            "숫자마다 하나씩, 값이 10개여야 합니다. digit으로 묶고 ink 열만 고르세요.",
            "There should be ten values, one per digit. Group by digit and take only the column ink.",
        )
    target = np.array(_ink())
    if np.allclose(values, target, rtol=1e-3, atol=0.051):
        most = int(target.argmax())
        return right(
            f"잉크가 가장 많이 드는 숫자는 {most}입니다.", f"The digit with the most ink is {most}."
        )
    if np.allclose(values, target * np.bincount(_digits().target), rtol=1e-3):
        return wrong("합계입니다. 평균을 구하세요.", "Those are sums. Take the mean.")
    return wrong(
        "값이 다릅니다. 묶은 다음 ink의 평균(mean)을 냈는지 보세요.",
        "The values differ. Did you take the mean of ink after grouping?",
    )


def _heights(axes: Any) -> list[float]:
    """The heights of the bars by digit: as the ticks name them, else from left to right."""
    # the marks of an error are a container, too, and have no bars
    found = [bar for box in axes.containers for bar in getattr(box, "patches", ())]
    heights = [float(bar.get_height()) for bar in sorted(found, key=lambda bar: bar.get_x())]
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    names = [label.get_text() for _, label in sorted(ticks, key=lambda tick: tick[0])]
    if sorted(names) == list("0123456789") and len(heights) == len(names):
        return [heights[names.index(name)] for name in sorted(names)]
    return heights


def bars(axes: Any) -> Outcome:
    """A bar chart of the mean ink that others can read."""
    import numpy as np

    heights = _heights(axes)
    if len(heights) != 10:
        return wrong(
            f"막대가 {len(heights)}개입니다. 숫자마다 하나씩 10개를 그리세요.",
            f"There are {len(heights)} bars. Draw ten, one per digit.",
        )
    if not np.allclose(heights, _ink(), rtol=1e-3, atol=0.051):
        return wrong(
            "막대의 높이가 평균 잉크가 아닙니다.", "The bars' heights are not the mean ink."
        )
    named = {
        Text("제목(set_title)", "a title (set_title)"): axes.get_title(),
        Text("가로축 이름(set_xlabel)", "a name at the x axis (set_xlabel)"): axes.get_xlabel(),
        Text("세로축 이름(set_ylabel)", "a name at the y axis (set_ylabel)"): axes.get_ylabel(),
    }
    lacking = [name for name, text in named.items() if not text.strip()]
    if lacking:
        return wrong(
            f"아직 없는 것: {', '.join(name.ko for name in lacking)}",
            f"Still missing: {', '.join(name.en for name in lacking)}",
        )
    return right("남이 읽을 수 있는 그림입니다.", "Others can read this figure.")


EXERCISES = {
    1: Exercise(
        sevens,
        (
            Text("위에서 0을 센 두 줄을 보세요.", "Look at the two lines above that count zeros."),
            Text("(digits.target == 숫자).sum()", "(digits.target == digit).sum()"),
        ),
    ),
    2: Exercise(
        mean_ink,
        (
            Text(
                'table.groupby("digit")까지가 묶는 것입니다.',
                'table.groupby("digit") does the grouping.',
            ),
            Text(
                '그 뒤에 ["ink"]로 열을 고르고 .mean()으로 평균을 냅니다.',
                'Then choose the column with ["ink"] and take .mean().',
            ),
        ),
    ),
    3: Exercise(
        bars,
        (
            Text(
                "mean_ink.index가 숫자들, mean_ink.values가 값들입니다.",
                "mean_ink.index holds the digits, mean_ink.values the values.",
            ),
            Text(
                "위 예의 set_title, set_xlabel, set_ylabel을 그대로 쓸 수 있습니다.",
                "set_title, set_xlabel and set_ylabel of the example above can be used as they are.",
            ),
        ),
    ),
}
