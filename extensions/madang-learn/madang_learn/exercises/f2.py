"""F2: memory and speed."""

from __future__ import annotations

from math import isclose

from madang_learn.outcomes import Exercise, Outcome, number, right, wrong
from madang_learn.words import Text

SIZE = 1024


def megabytes(answer: object) -> Outcome:
    """The memory of the matrix as float32, in MB (powers of 1024)."""
    value, right_one = number(answer), SIZE * SIZE * 4 / 2**20
    if isclose(value, right_one, rel_tol=1e-3):
        return right("float64의 절반입니다.", "Half of float64.")
    if isclose(value, right_one * 2, rel_tol=1e-3):
        return wrong(
            "그것은 float64일 때입니다. float32는 한 숫자가 4바이트입니다.",
            "That is for float64. A float32 takes 4 bytes.",
        )
    if isclose(value, right_one * 2**20, rel_tol=1e-3):
        return wrong(
            "바이트로 구했습니다. 2**20으로 나누어 MB로 바꾸세요.",
            "Those are bytes. Divide by 2**20 for MB.",
        )
    if isclose(value, SIZE * SIZE * 4 / 1e6, rel_tol=1e-3):
        return wrong(
            "10⁶으로 나누었습니다. 여기서는 2**20으로 나눕니다.",
            "That was divided by 10⁶. Here, divide by 2**20.",
        )
    return wrong(
        "(숫자의 개수) × 4바이트 ÷ 2**20입니다.", "It is (how many numbers) × 4 bytes ÷ 2**20."
    )


def gflops(answer: object, seconds: object) -> Outcome:
    """The speed that follows from the measured time, in GFLOP/s."""
    value, time = number(answer), number(seconds)
    if not time > 0:
        return wrong(
            "seconds가 0보다 커야 합니다. 재는 셀을 다시 실행하세요.",
            "seconds must be above 0. Run the measuring cell again.",
        )
    right_one = 2 * SIZE**3 / time / 1e9
    if isclose(value, right_one, rel_tol=0.01):
        return right(f"{value:.1f} GFLOP/s입니다.", f"That is {value:.1f} GFLOP/s.")
    for factor, ko, en in (
        (
            0.5,
            "덧셈이 빠졌습니다. 계산은 모두 2 × size³번입니다.",
            "The additions are missing: there are 2 × size³ operations.",
        ),
        (
            1e9,
            "1초에 몇 번인지까지 구했습니다. 10억(1e9)으로 나누세요.",
            "Those are operations per second. Divide by a billion (1e9).",
        ),
        (
            1e-3,
            "TFLOP/s로 구했습니다. 10억(1e9)으로 나누면 GFLOP/s입니다.",
            "Those are TFLOP/s. Divide by a billion (1e9) for GFLOP/s.",
        ),
    ):
        if isclose(value, right_one * factor, rel_tol=0.01):
            return wrong(ko, en)
    return wrong(
        "(계산 횟수) ÷ (걸린 시간) ÷ 10억입니다.", "It is (operations) ÷ (seconds) ÷ a billion."
    )


EXERCISES = {
    1: Exercise(
        megabytes,
        (
            Text("숫자는 모두 size * size개입니다.", "There are size * size numbers."),
            Text(
                "한 숫자가 4바이트입니다. 끝에 2**20으로 나눕니다.",
                "Each takes 4 bytes. Divide by 2**20 in the end.",
            ),
        ),
    ),
    2: Exercise(
        gflops,
        (
            Text(
                "계산은 2 * size**3번, 걸린 시간은 seconds입니다.",
                "There are 2 * size**3 operations, and they took seconds.",
            ),
            Text(
                "횟수를 시간으로 나누고, 1e9로 나눕니다.",
                "Divide the operations by the time, then by 1e9.",
            ),
        ),
    ),
}
