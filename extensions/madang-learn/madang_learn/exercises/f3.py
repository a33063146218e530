"""F3: a baseline, a model, its runs, and what it misses."""

from __future__ import annotations

from math import isclose
from typing import Any

from madang_learn.outcomes import Exercise, Outcome, number, right, wrong
from madang_learn.words import Text

PASS = 0.98
METRIC = "metrics.test_accuracy"


def _split() -> tuple[Any, Any, Any, Any]:
    """The lesson's training and test data: train_x, test_x, train_y, test_y."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    parts = train_test_split(
        digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target
    )
    train_x, test_x, train_y, test_y = parts
    return train_x, test_x, train_y, test_y


def guess(answer: object) -> Outcome:
    """The accuracy of always answering the most common digit."""
    import numpy as np

    _, _, train_y, test_y = _split()
    value, right_one = number(answer), float((test_y == np.bincount(train_y).argmax()).mean())
    if isclose(value, right_one, abs_tol=5e-4):
        return right("모델은 이 값을 넘어야 합니다.", "A model has to beat this.")
    if isclose(value, right_one * 100, abs_tol=5e-2):
        return wrong(
            "퍼센트로 구했습니다. 0과 1 사이의 값으로 쓰세요.",
            "Those are percent. Give a value between 0 and 1.",
        )
    if value == round(right_one * len(test_y)):
        return wrong(
            "맞힌 장수입니다. 시험 자료의 수로 나누거나 mean()을 쓰세요.",
            "That is how many are right. Divide by the number of test pictures, or use mean().",
        )
    if isclose(value, 0.1, abs_tol=1e-9):
        return wrong(
            "어림값입니다. 시험 자료로 정확히 구하세요.",
            "That is an estimate. Work it out with the test data.",
        )
    if isclose(value, float((train_y == np.bincount(train_y).argmax()).mean()), abs_tol=5e-5):
        return wrong(
            "학습 자료로 구했습니다. 시험 자료로 구하세요.",
            "That is for the training data. Use the test data.",
        )
    return wrong(
        "test_y가 most_common과 같은 비율입니다.",
        "It is the share of test_y that equals most_common.",
    )


def model(fitted: Any, runs: Any) -> Outcome:
    """A model that passes, taught with the training data alone, and recorded."""
    from sklearn.base import clone

    train_x, test_x, train_y, test_y = _split()
    if not hasattr(fitted, "fit") or not hasattr(fitted, "score"):
        return wrong("model에 모델이 들어 있지 않습니다.", "model does not hold a model.")
    try:
        scored = float(fitted.score(test_x, test_y))
    except Exception:
        return wrong(
            "아직 배우지 않은 모델입니다. fit(train_x, train_y)로 가르치세요.",
            "This model has not learnt yet. Teach it with fit(train_x, train_y).",
        )
    # taught once more, by us: with other data it would come out differently
    again = [clone(fitted).fit(train_x, train_y)]
    margin = 0.005
    if scored > float(again[0].score(test_x, test_y)) + margin:
        again += [clone(fitted).fit(train_x, train_y) for _ in range(2)]
        said = [taught.predict(test_x).tolist() for taught in again]
        if said[1:] != said[:-1]:
            margin = 0.02  # chance has a part in how it comes out
    honest = max(float(taught.score(test_x, test_y)) for taught in again)
    if scored > honest + margin:
        return wrong(
            f"학습 자료로만 다시 가르치면 {honest:.3f}입니다. fit에 train_x와 train_y만 넣었는지 보세요.",
            f"Taught with the training data alone it reaches {honest:.3f}. Check that fit got only train_x and train_y.",
        )
    if scored < PASS:
        return wrong(
            f"시험 정확도가 {scored:.3f}입니다. {PASS} 이상이어야 합니다. 다른 모델을 써 보세요.",
            f"The test accuracy is {scored:.3f}; it has to be {PASS} or more. Try another model.",
        )
    known = runs[METRIC].dropna() if METRIC in runs else []
    if not any(isclose(float(value), scored, abs_tol=5e-4) for value in known):
        return wrong(
            f"이 모델의 값({scored:.3f})이 기록에 없습니다. q.run 안에서 model.score의 값을 test_accuracy로 기록하세요.",
            f"No run has this model's value, {scored:.3f}. Inside q.run, record what model.score gives as test_accuracy.",
        )
    return right(
        f"시험 정확도 {scored:.3f}, 기록도 있습니다.",
        f"Test accuracy {scored:.3f}, and it is recorded.",
    )


def hardest(answer: object) -> Outcome:
    """The digit that logistic regression misses most often."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    train_x, test_x, train_y, test_y = _split()
    answers = LogisticRegression(max_iter=1000).fit(train_x, train_y).predict(test_x)
    missed = answers != test_y
    value, digit = number(answer), int(np.bincount(test_y[missed], minlength=10).argmax())
    if value == digit:
        return right(f"{digit}을 가장 많이 놓칩니다.", f"It misses {digit} most often.")
    if value == int(np.bincount(answers[missed], minlength=10).argmax()):
        return wrong(
            "잘못 답한 쪽의 숫자입니다. 정답 쪽을 세세요.",
            "That is the digit that it answered wrongly. Count the labels.",
        )
    if value not in range(10):
        return wrong(
            "0부터 9 가운데 하나여야 합니다. 몇 번이 아니라 어느 숫자인지입니다.",
            "It should be one of 0 to 9: which digit, not how often.",
        )
    return wrong(
        "test_y[missed]에 어떤 숫자가 가장 많은지 세어 보세요.",
        "Count which digit is most common in test_y[missed].",
    )


EXERCISES = {
    1: Exercise(
        guess,
        (
            Text(
                "test_y == most_common은 True와 False의 배열입니다.",
                "test_y == most_common is an array of True and False.",
            ),
            Text("True의 비율은 mean()입니다.", "mean() gives the share of True."),
        ),
    ),
    2: Exercise(
        model,
        (
            Text(
                "model = SVC().fit(train_x, train_y)처럼 만듭니다.",
                "Make it like model = SVC().fit(train_x, train_y).",
            ),
            Text(
                'with q.run("이름"): 안에서 mlflow.log_metric("test_accuracy", model.score(test_x, test_y))를 쓰세요.',
                'Inside with q.run("name"): write mlflow.log_metric("test_accuracy", model.score(test_x, test_y)).',
            ),
        ),
    ),
    3: Exercise(
        hardest,
        (
            Text(
                "np.bincount는 0부터 9까지 몇 번 나왔는지 셉니다.",
                "np.bincount counts how often each of 0 to 9 appears.",
            ),
            Text("가장 큰 자리는 argmax()입니다.", "argmax() gives the place of the largest."),
        ),
    ),
}
