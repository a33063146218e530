# Lesson F2: cores, memory, accelerators, speed. How lessons are written: docs/howto/write-a-lesson.md

# %% [markdown] id="intro"
# # F2 · 내 서버는 어떤 컴퓨터인가
#
# **6분** · 먼저 할 실습: F0, F1 · GPU는 없어도 됩니다
#
# 라이다 한 장면을 0.1초 안에 처리해야 하는 차가 있고, 밤새 계산해도 되는 유전체가 있습니다. 일이 제때 끝날지는 **어떤
# 컴퓨터에서 하는지**에 달렸습니다. 그래서 실험을 기록할 때는 어디에서 했는지도 함께 적습니다.
#
# 이 실습을 마치면 할 수 있는 일
#
# 1. 내 서버의 코어, 메모리, 가속기를 **확인**합니다.
# 2. 데이터가 메모리에 들어가는지 **계산**합니다.
# 3. 계산 속도를 **재서 기록**합니다.

# %% id="setup"
import time

import mlflow
import numpy as np

from madang_learn import lesson, machine, say

q = lesson("f2")
here = machine()
print(here)

# %% [markdown] id="machine-text"
# ## 1. 세 가지 숫자
#
# - **코어**: 한꺼번에 계산하는 일꾼의 수입니다. 서버를 시작할 때 고른 규격에 따라 다릅니다.
# - **메모리**: 계산하는 동안 숫자를 놓아두는 책상입니다. 책상보다 많이 올리면 커널이 갑자기 꺼집니다. 그때는 더 큰
#   규격으로 시작하거나 데이터를 나누어 올립니다. 지금 얼마나 쓰는지는 화면 아래쪽에 나옵니다.
# - **가속기**: GPU나 NPU입니다. 여기에는 NVIDIA GPU만 나옵니다. 없어도 이 실습은 끝까지 할 수 있습니다.
#
# ## 2. 이 데이터는 메모리에 들어갈까
#
# 숫자 하나가 차지하는 크기는 자료형에 따라 다릅니다. `float64`는 8바이트, `float32`는 4바이트입니다.

# %% id="size"
size = 1024
numbers = np.ones((size, size), dtype="float64")
print(numbers.nbytes, "bytes")
print(numbers.nbytes / 2**20, "MB")

# %% [markdown] id="ex1-text"
# 가로세로 1024인 `float64` 행렬은 8.0 MB입니다.
#
# ### 문제 1
#
# 숫자를 `float32`로 바꾸면 같은 행렬이 몇 MB일까요? `size`로 계산해서 `megabytes`에 넣으세요. 1 MB는 `2**20`바이트로
# 셉니다.

# %% id="ex1" exercise=1
# stub
megabytes = None  # None 대신 식을 쓰세요 · write a formula instead of None
# solution
megabytes = size * size * 4 / 2**20
# end
q[1].check(megabytes)

# %% [markdown] id="speed-text"
# ## 3. 속도 재기
#
# 딥러닝의 계산은 거의 다 **행렬 곱**입니다. 그래서 컴퓨터의 빠르기를 행렬 곱으로 잽니다. 가로세로가 `size`인 두 행렬을
# 곱하려면 곱셈을 `size`³번, 덧셈을 `size`³번 합니다. 모두 2 × `size`³번입니다. 1초에 10억 번(10⁹)을 하면
# **1 GFLOP/s**라고 합니다.
#
# 한 번만 재면 우연에 속기 쉽습니다. 다섯 번 재서 **가장 빠른 것**을 씁니다. 다른 프로그램이 끼어들면 느려지기만 하고
# 빨라지지는 않기 때문입니다.

# %% id="speed"
a = np.random.default_rng(0).standard_normal((size, size), dtype="float32")
a @ a

times = []
for _ in range(5):
    start = time.perf_counter()
    a @ a
    times.append(time.perf_counter() - start)
seconds = min(times)
print(say("가장 빠를 때", "at best"), f"{seconds * 1000:.1f} ms")

# %% [markdown] id="ex2-text"
# ### 문제 2
#
# 위에서 잰 `seconds`로 속도를 계산해 `gflops`에 넣으세요. 단위는 GFLOP/s입니다.
#
# 그다음 셀에서 그 값을 실험 기록에 남깁니다. 어느 실습 환경에서 쟀는지는 태그로 함께 남습니다.

# %% id="ex2" exercise=2
# stub
gflops = None  # None 대신 식을 쓰세요 · write a formula instead of None
# solution
gflops = 2 * size**3 / seconds / 1e9
print(f"{gflops:.1f} GFLOP/s")
# end
q[2].check(gflops, seconds)

# %% id="log"
if q[2].passed:
    with q.run("matmul", main_metric="gflops", better="higher"):
        mlflow.log_param("size", size)
        mlflow.log_param("dtype", str(a.dtype))
        mlflow.log_metric("gflops", gflops)

# %% [markdown] id="read-text"
# ## 4. 내 값을 읽는 법
#
# 다른 일도 하던 코어 두 개짜리 컴퓨터에서는 29.5 GFLOP/s가 나왔습니다. 그보다 빨라도 느려도 이상하지 않습니다. 한
# 컴퓨터를 여럿이 나누어 쓰면 잴 때마다 달라집니다. 메뉴의 **커널**, **커널 재시작 후 모든 셀 실행**으로 한 번 더 재 보고
# 아래 표에서 두 실행을 견주어 보세요.

# %% id="runs"
found = q.runs()
wanted = [name for name in ("start_time", "metrics.gflops", "tags.device") if name in found]
found[wanted].head()

# %% [markdown] id="end"
# ## 이 실습이 보여 주지 않는 것
#
# - 행렬 곱이 두 배 빠르다고 내 프로그램이 두 배 빨라지지는 않습니다. 파일을 읽는 시간, 표를 정리하는 시간은 그대로입니다.
# - `float32` 하나만 쟀습니다. `float64`나 더 작은 수는 다른 값이 나옵니다.
# - GPU의 속도는 재지 않았습니다.
#
# ## 더 읽을 것
#
# - 넘파이가 쓰는 행렬 곱: <https://numpy.org/doc/stable/reference/routines.linalg.html>
# - 다음 실습: **F3 첫 모델과 첫 실험 기록**
