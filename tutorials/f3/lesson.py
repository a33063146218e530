# Lesson F3: baseline, model, MLflow runs, failures. How lessons are written: docs/howto/write-a-lesson.md

# %% [markdown] id="intro"
# # F3 · 첫 모델과 첫 실험 기록
#
# **14분** · 먼저 할 실습: F0, F1
#
# 우편 봉투의 번호, 계량기의 숫자, 검사지에 손으로 적은 값. 사람이 옮겨 적던 일을 모델에 맡기려는 곳이 많습니다. 맡겨도
# 될지는 **숫자로** 정해야 합니다. 얼마나 맞히는지, 어떤 기준보다 나은지, 무엇을 틀리는지 봅니다. 이 실습은 그
# 순서대로 갑니다.
#
# 이 실습을 마치면 할 수 있는 일
#
# 1. **기준**을 먼저 정하고,
# 2. 모델을 가르쳐 기준과 **비교**하고 실험 기록에 남기고,
# 3. 틀린 것을 **들여다봅니다**.

# %% [markdown] id="data-text"
# ## 1. 데이터를 둘로 나누기
#
# | 데이터 카드 | |
# |---|---|
# | 이름 | Optical Recognition of Handwritten Digits |
# | 출처 | E. Alpaydin, C. Kaynak (1998), UCI 저장소, [doi:10.24432/C50P49](https://doi.org/10.24432/C50P49) · scikit-learn에 든 사본 |
# | 이용 조건 | CC BY 4.0 |
# | 종류 | **실제 데이터**: 사람이 손으로 쓴 숫자 1,797장 |
#
# 문제집으로 공부하고 같은 문제로 시험을 보면 누구나 만점입니다. 모델도 그렇습니다. 그래서 4분의 1을 **시험 자료**로
# 떼어 두고, 나머지 **학습 자료**로만 가르칩니다. `stratify`는 두 자료에 숫자들이 고르게 들어가게 합니다.

# %% id="data"
import matplotlib.pyplot as plt
import mlflow
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from madang_learn import lesson, say

q = lesson("f3")
digits = load_digits()
train_x, test_x, train_y, test_y = train_test_split(
    digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target
)
print(len(digits.target), len(train_y), len(test_y))

# %% [markdown] id="ex1-text"
# 1,797장을 1,347장과 450장으로 나누었습니다.
#
# ## 2. 기준 먼저
#
# 가장 게으른 방법을 생각해 봅시다. 그림을 보지도 않고 **학습 자료에서 가장 많은 숫자**로만 답하는 것입니다. 모델이 쓸모
# 있으려면 적어도 이보다 나아야 합니다. 이런 것을 **기준(baseline)** 이라고 합니다.
#
# ### 문제 1
#
# `most_common`이 학습 자료에서 가장 많은 숫자입니다. 시험 자료를 모두 이 숫자로 답하면 맞힌 비율은 얼마일까요? 0과 1 사이의
# 값으로 `guess`에 넣으세요.

# %% id="ex1" exercise=1
most_common = np.bincount(train_y).argmax()
# stub
guess = None  # None 대신 식을 쓰세요 · write a formula instead of None
# solution
guess = (test_y == most_common).mean()
print(say("기준", "baseline"), f"{guess:.3f}")
# end
q[1].check(guess)

# %% [markdown] id="record-text"
# 열 장에 한 장꼴입니다.
#
# ## 3. 모델을 가르치고 기록하기
#
# 모델은 셋을 씁니다. 모두 `fit`으로 배우고 `score`로 시험을 봅니다.
#
# - **로지스틱 회귀**: 칸마다 점수를 매겨 더합니다.
# - **k-최근접 이웃(k-NN)**: 가장 닮은 학습 그림 k장에게 물어봅니다.
# - **서포트 벡터 머신(SVM)**: 숫자들 사이에 가장 넓은 길을 냅니다.
#
# 실험은 기록하지 않으면 잊습니다. `with q.run("이름"):` 안에서 `mlflow.log_param`으로 설정을, `mlflow.log_metric`으로
# 결과를 남깁니다. 기준도 하나의 실행으로 남깁니다.

# %% id="record"
with q.run("guess", baseline=True, main_metric="test_accuracy", better="higher"):
    mlflow.log_metric("test_accuracy", (test_y == most_common).mean())

logistic = LogisticRegression(max_iter=1000).fit(train_x, train_y)
accuracy = logistic.score(test_x, test_y)
print(say("로지스틱 회귀", "logistic regression"), f"{accuracy:.3f}")

with q.run("logistic"):
    mlflow.log_param("model", "logistic")
    mlflow.log_metric("test_accuracy", accuracy)

# %% [markdown] id="ex2-text"
# 0.969입니다. 기준보다 훨씬 낫습니다.
#
# ### 문제 2
#
# 시험 정확도가 **0.98 이상**인 모델을 만들어 `model`에 넣고, 위와 같은 방법으로 실행 하나를 더 기록하세요. 정확도의
# 이름은 똑같이 `test_accuracy`로 합니다. `KNeighborsClassifier(3)`이나 `SVC()`로 시작해 보세요. **시험 자료로 가르치면
# 안 됩니다.**

# %% id="ex2" exercise=2
# stub
model = None  # 모델을 만들고 가르친 다음 기록하세요 · make and fit a model, then record it
# solution
model = KNeighborsClassifier(3).fit(train_x, train_y)
with q.run("3-NN"):
    mlflow.log_param("model", "k-NN")
    mlflow.log_param("k", 3)
    mlflow.log_metric("test_accuracy", model.score(test_x, test_y))
print("3-NN", f"{model.score(test_x, test_y):.3f}")

model = SVC(C=10).fit(train_x, train_y)
with q.run("SVM"):
    mlflow.log_param("model", "SVM")
    mlflow.log_param("C", 10)
    mlflow.log_metric("test_accuracy", model.score(test_x, test_y))
print("SVM", f"{model.score(test_x, test_y):.3f}")
# end
q[2].check(model, q.runs())

# %% [markdown] id="runs-text"
# ## 4. 기록 다시 보기
#
# 남긴 실행은 노트북을 닫아도 남습니다. 표로 불러와 봅시다. 같은 것을 왼쪽의 **내 실험**에서도 볼 수 있고, 마당 홈 화면
# 위쪽의 **실험 기록**에서도 볼 수 있습니다.

# %% id="runs"
runs = q.runs()
shown = ("tags.mlflow.runName", "metrics.test_accuracy", "tags.lesson.version")
runs[[name for name in shown if name in runs]].head(8)

# %% [markdown] id="failures-text"
# ## 5. 틀린 것 들여다보기
#
# 정확도 하나만 보면 **무엇을** 틀리는지 알 수 없습니다. 로지스틱 회귀가 틀린 그림을 봅시다. 왼쪽 표에서 행(가로)은
# 정답, 열(세로)은 모델의 답입니다. 대각선이 맞힌 것이고, 나머지가 틀린 것입니다. 오른쪽은 틀린 그림 가운데 여섯 장입니다.

# %% id="failures"
answers = logistic.predict(test_x)
missed = np.flatnonzero(answers != test_y)
print(say("틀린 그림", "missed"), len(missed))
print(say("정답과 답", "label and answer"), *zip(test_y[missed].tolist(), answers[missed].tolist()))

figure = plt.figure(figsize=(9, 4))
left, right = figure.subfigures(1, 2)
axes = left.subplots()
ConfusionMatrixDisplay.from_predictions(test_y, answers, ax=axes, colorbar=False)
axes.set_xlabel(say("모델의 답", "answered"))
axes.set_ylabel(say("정답", "label"))
for axis, place in zip(right.subplots(2, 3).flat, missed):
    axis.imshow(test_x[place].reshape(8, 8), cmap="gray_r")
    axis.set_title(f"{say('정답', 'label')} {test_y[place]}, {say('답', 'said')} {answers[place]}")
    axis.axis("off")
plt.show()

# %% [markdown] id="ex3-text"
# 450장 가운데 틀린 수가 위에 나왔습니다.
#
# ### 문제 3
#
# 로지스틱 회귀가 **가장 많이 놓친 숫자**는 무엇일까요? 정답이 그 숫자인데 다른 숫자로 답한 횟수가 가장 많은 것입니다.
# `hardest`에 0부터 9 가운데 하나로 넣으세요. `test_y[missed]`가 놓친 그림들의 정답입니다.

# %% id="ex3" exercise=3
# stub
hardest = None  # None 대신 숫자나 식을 쓰세요 · a digit, or a formula that finds it
# solution
counts = np.bincount(test_y[missed], minlength=10)
hardest = counts.argmax()
print(counts)
# end
q[3].check(hardest)

# %% [markdown] id="end"
# ## 내 데이터로 바꾸려면
#
# `digits.data / 16`에 숫자로 된 열들을, `digits.target`에 맞힐 열을 넣으면 됩니다. `pd.read_csv`로 읽은 표라면
# `table.drop(columns="맞힐 열")`과 `table["맞힐 열"]`입니다. 기준부터 다시 기록하세요.
#
# ## 이 실습이 보여 주지 않는 것
#
# - 시험 자료는 450장입니다. 한 장이 0.2%포인트쯤이니, 두세 장 차이로 어느 모델이 낫다고 말할 수 없습니다.
# - 시험 자료를 보면서 모델을 골랐습니다. 여러 번 고르면 시험 점수는 부풀려집니다. 정말로 맡기려면 한 번도 보지 않은
#   자료로 마지막에 한 번만 재야 합니다.
# - 같은 사람의 글씨가 학습 자료와 시험 자료에 함께 있습니다. 처음 보는 사람의 글씨라면 이보다 더 틀리기
#   쉽습니다.
#
# ## 더 읽을 것
#
# - scikit-learn의 모델 고르기: <https://scikit-learn.org/stable/model_selection.html>
# - MLflow 실험 기록: <https://mlflow.org/docs/latest/ml/tracking/>
