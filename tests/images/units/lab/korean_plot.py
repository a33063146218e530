"""A plot with Korean, a minus sign and mathematics has a glyph for everything."""

import importlib
import io
import warnings
from typing import Any

warnings.simplefilter("error")
matplotlib: Any = importlib.import_module("matplotlib")
matplotlib.use("agg")
plt: Any = importlib.import_module("matplotlib.pyplot")
figure, axes = plt.subplots()
axes.plot([-3, -2, -1], [-1.5, 0, 2], label="측정값")
axes.set_title("알코올 도수와 색 농도 — 갉뷁힣 ㄱㅏ")
axes.set_xlabel(r"온도 (°C), $\alpha \leq \sqrt{x}$")
axes.legend()
picture = io.BytesIO()
figure.savefig(picture, format="png")
assert len(picture.getvalue()) > 5000
fonts: Any = importlib.import_module("matplotlib.font_manager")
assert "Nanum" in fonts.findfont(matplotlib.rcParams["font.family"][0])
