"""Sun over Gwangju, a forecast, Korean holidays and the schedule of a store."""

import datetime
import importlib
from typing import Any

np: Any = importlib.import_module("numpy")

pd: Any = importlib.import_module("pandas")
pvlib: Any = importlib.import_module("pvlib")
holidays: Any = importlib.import_module("holidays")
cp: Any = importlib.import_module("cvxpy")
exponential: Any = importlib.import_module("statsmodels.tsa.holtwinters")

place = pvlib.location.Location(35.16, 126.85, "Asia/Seoul", 50, "광주")
hours = pd.date_range("2026-06-21", periods=24, freq="h", tz="Asia/Seoul")
sky = place.get_clearsky(hours, model="simplified_solis")
assert sky["ghi"].idxmax().hour in (12, 13)
assert sky["ghi"].iloc[0] == 0
assert sky["ghi"].max() > 800

# the lunar new year of 2026 is on 17 February, Chuseok on 25 September
korea = holidays.KR(years=2026, language="ko")
assert "설날" in korea[datetime.date(2026, 2, 17)]
assert "추석" in korea[datetime.date(2026, 9, 25)]

days = np.arange(70)
load = pd.Series(100 + 10 * np.sin(2 * np.pi * days / 7))
model = exponential.ExponentialSmoothing(load[:63], seasonal="add", seasonal_periods=7).fit()
assert np.abs(model.forecast(7).to_numpy() - load[63:].to_numpy()).max() < 1

# a store of 2 MWh and 1 MW between cheap and dear hours earns what it must
price = np.array([50.0, 50.0, 150.0, 150.0])
charge, level = cp.Variable(4), cp.Variable(5)
problem = cp.Problem(
    cp.Maximize(-price @ charge),
    [level[0] == 0, level[1:] == level[:-1] + charge, level >= 0, level <= 2, cp.abs(charge) <= 1],
)
problem.solve()
assert problem.status == "optimal"
assert abs(problem.value - 200) < 1e-3, problem.value
