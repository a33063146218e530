# Lesson F1: arrays, a table, a figure with Korean labels. How lessons are written: docs/howto/write-a-lesson.md

# %% [markdown] id="intro"
# # F1 · 파이썬, 필요한 만큼
#
# **10분** · 먼저 할 실습: F0
#
# 라이다의 점도, 태양광 패널의 전압도, 유전자의 발현량도 컴퓨터에는 모두 **숫자의 묶음**으로 들어옵니다. 그 묶음을
# 다루는 도구는 분야가 달라도 같습니다. 이 실습에서는 사람이 손으로 쓴 숫자 그림으로 그 도구를 익힙니다.
#
# 이 실습을 마치면 할 수 있는 일
#
# 1. 배열에서 원하는 것을 **세고**,
# 2. 표로 **묶어서 비교하고**,
# 3. 읽을 수 있는 그림을 **그립니다**.

# %% [markdown] id="data-text"
# ## 1. 데이터 읽기
#
# | 데이터 카드 | |
# |---|---|
# | 이름 | Optical Recognition of Handwritten Digits |
# | 출처 | E. Alpaydin, C. Kaynak (1998), UCI 저장소, [doi:10.24432/C50P49](https://doi.org/10.24432/C50P49) · scikit-learn에 든 사본 |
# | 이용 조건 | CC BY 4.0 |
# | 종류 | **실제 데이터**: 사람이 손으로 쓴 숫자 |
#
# 데이터는 이 서버에 이미 있습니다. 내려받지 않습니다.

# %% id="data"
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits

from madang_learn import lesson, say

q = lesson("f1")
digits = load_digits()
digits.images.shape

# %% [markdown] id="shape-text"
# `(1797, 8, 8)`은 그림이 1,797장이고, 한 장이 세로 8칸, 가로 8칸이라는 뜻입니다. 칸마다 0(빈 종이)부터 16(가장
# 진한 잉크)까지의 숫자가 들어 있습니다. 첫 장을 숫자로, 그리고 그림으로 봅시다.

# %% id="look"
print(digits.images[0].astype(int))

figure, axes = plt.subplots(1, 5, figsize=(7, 1.8))
for axis, image, target in zip(axes, digits.images, digits.target):
    axis.imshow(image, cmap="gray_r")
    axis.set_title(say("정답", "label") + f" {target}")
    axis.axis("off")
plt.show()

# %% [markdown] id="array-text"
# 왼쪽부터 0, 1, 2, 3, 4입니다. 사람에게는 그림이지만 컴퓨터에는 위에 찍힌 숫자표입니다.
#
# ## 2. 배열: 한꺼번에 계산하기
#
# `digits.target`은 그림마다의 정답이 든 **배열**입니다. 배열은 한꺼번에 비교하고 한꺼번에 셉니다. `==`로 비교하면 맞는
# 자리는 `True`, 아닌 자리는 `False`가 되고, `True`는 더할 때 1로 칩니다.

# %% id="array"
is_zero = digits.target == 0
print(is_zero[:5])
print(is_zero.sum())

# %% [markdown] id="ex1-text"
# 숫자 0은 178장입니다.
#
# ### 문제 1
#
# 숫자 **7**은 몇 장일까요? 세어서 `sevens`에 넣으세요.

# %% id="ex1" exercise=1
# stub
sevens = None  # None 대신 세는 식을 쓰세요 · count here
# solution
sevens = (digits.target == 7).sum()
# end
q[1].check(sevens)

# %% [markdown] id="table-text"
# ## 3. 표: 묶어서 비교하기
#
# 어떤 숫자를 쓸 때 잉크가 가장 많이 들까요? 그림마다 64칸을 모두 더하면 잉크의 양이 됩니다. `axis=(1, 2)`는 세로와
# 가로 방향으로 더하라는 뜻입니다. 정답과 잉크를 나란히 놓으면 **표**가 됩니다.

# %% id="table"
table = pd.DataFrame({"digit": digits.target, "ink": digits.images.sum(axis=(1, 2))})
print(say("전체 평균", "overall mean"), round(table["ink"].mean(), 1))
table.head()

# %% [markdown] id="ex2-text"
# 한 장의 잉크는 평균 312.6입니다.
#
# ### 문제 2
#
# 숫자마다 평균 잉크를 구해 `mean_ink`에 넣으세요. 표를 `digit`으로 묶고(`groupby`) `ink`의 평균(`mean`)을 내면 한 줄로
# 됩니다.

# %% id="ex2" exercise=2
# stub
mean_ink = None  # None 대신 표를 묶는 식을 쓰세요 · group the table here
# solution
mean_ink = table.groupby("digit")["ink"].mean()
print(mean_ink.round(1).to_string())
# end
q[2].check(mean_ink)

# %% [markdown] id="plot-text"
# ## 4. 그림: 남이 읽을 수 있게
#
# 표보다 그림이 빠릅니다. 그런데 제목도 축 이름도 없는 그림은 그린 사람만 읽을 수 있습니다. 축에는 **무엇인지**, 그리고
# **단위가 있으면 단위까지** 씁니다. 한글도 그대로 쓰면 됩니다. 글꼴은 마당에 준비되어 있습니다. 아래는 0과 1의 잉크를
# 비교한 예입니다.

# %% id="plot"
figure, axes = plt.subplots(figsize=(5, 3))
for digit in (0, 1):
    axes.hist(
        table.loc[table["digit"] == digit, "ink"],
        bins=range(180, 450, 15),
        alpha=0.6,
        label=str(digit),
    )
axes.set_title(say("숫자 0과 1의 잉크", "Ink of the digits 0 and 1"))
axes.set_xlabel(say("잉크 (칸 값의 합)", "ink (sum of cells)"))
axes.set_ylabel(say("그림 수 (장)", "images"))
axes.legend(title=say("숫자", "digit"))
plt.show()

# %% [markdown] id="ex3-text"
# 두 산이 많이 겹칩니다. 잉크의 양만으로는 0과 1을 가려낼 수 없다는 뜻입니다.
#
# ### 문제 3
#
# 숫자마다의 평균 잉크를 **막대그래프**로 그리세요. 막대 10개, 제목, 두 축의 이름이 있어야 합니다. 막대는
# `axes.bar(이름, 값)`로 그립니다. 문제 2의 `mean_ink`를 쓰거나, 여기서 다시 구해도 됩니다.

# %% id="ex3" exercise=3
figure, axes = plt.subplots(figsize=(5, 3))
# stub
# 여기에 막대와 제목, 축 이름을 그리세요 · draw bars, a title and both axis labels here
# solution
axes.bar(mean_ink.index.astype(str), mean_ink.values)
axes.set_title(say("숫자마다 드는 잉크", "Ink by digit"))
axes.set_xlabel(say("숫자", "digit"))
axes.set_ylabel(say("평균 잉크 (칸 값의 합)", "mean ink (sum of cells)"))
# end
q[3].check(axes)
plt.show()

# %% [markdown] id="end"
# ## 내 데이터로 바꾸려면
#
# 왼쪽 파일 목록에서 이 노트북이 있는 **배움** 폴더를 열고 파일을 끌어다 놓으세요. 그다음
# `table = pd.read_csv("내파일.csv")`로 읽습니다. 엑셀 파일은 `pd.read_excel`입니다. 그 뒤로는 `groupby`와 그림, 오늘 한 그대로입니다.
#
# ## 이 실습이 보여 주지 않는 것
#
# 평균이 다르다고 가려낼 수 있는 것은 아닙니다. 위에서 보았듯이 평균이 조금 달라도 산이 겹치면 한 장만 보고는 알 수
# 없습니다. 가려내는 일은 F3에서 모델에 맡깁니다.
#
# ## 더 읽을 것
#
# - 넘파이 첫걸음: <https://numpy.org/doc/stable/user/absolute_beginners.html>
# - 판다스 10분: <https://pandas.pydata.org/docs/user_guide/10min.html>
# - 다음 실습: **F2 내 서버는 어떤 컴퓨터인가**
