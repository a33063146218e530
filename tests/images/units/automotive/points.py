"""A point cloud is written, read, registered and tracked."""

import importlib
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

np: Any = importlib.import_module("numpy")

laspy: Any = importlib.import_module("laspy")
gicp: Any = importlib.import_module("small_gicp")
motmetrics: Any = importlib.import_module("motmetrics")
cv2: Any = importlib.import_module("cv2")
shapely: Any = importlib.import_module("shapely")

rng = np.random.default_rng(0)
cloud = rng.uniform(-10, 10, (4000, 3))
cloud[:, 2] = np.sin(cloud[:, 0]) + np.cos(cloud[:, 1] / 2)

file = Path(tempfile.mkdtemp()) / "점군.laz"
las = laspy.create()
las.header.scales = [0.001] * 3
las.x, las.y, las.z = cloud.T
las.write(file)
assert np.allclose(laspy.read(file).xyz, cloud, atol=0.001)

angle = 0.05
turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
moved = cloud @ turn.T + [0.3, -0.2, 0.1]
found = gicp.align(moved, cloud, registration_type="GICP", downsampling_resolution=0.2)
assert found.converged
assert np.allclose(found.T_target_source[:3, :3], turn, atol=0.01), found.T_target_source

# a target at constant velocity through a Kalman filter
predict: Any = importlib.import_module("stonesoup.predictor.kalman")
update: Any = importlib.import_module("stonesoup.updater.kalman")
linear: Any = importlib.import_module("stonesoup.models.transition.linear")
measure: Any = importlib.import_module("stonesoup.models.measurement.linear")
state: Any = importlib.import_module("stonesoup.types.state")
detection: Any = importlib.import_module("stonesoup.types.detection")
hypothesis: Any = importlib.import_module("stonesoup.types.hypothesis")
motion = linear.CombinedLinearGaussianTransitionModel([linear.ConstantVelocity(0.01)] * 2)
sensor = measure.LinearGaussian(4, (0, 2), np.diag([0.05, 0.05]))
predictor, updater = predict.KalmanPredictor(motion), update.KalmanUpdater(sensor)
begin = datetime(2026, 1, 1)
track = state.GaussianState([[0], [0], [0], [0]], np.diag([1, 10, 1, 10]), timestamp=begin)
for step in range(1, 30):
    now = begin + timedelta(seconds=step)
    seen = detection.Detection(
        [[3.0 * step + rng.normal(0, 0.2)], [1.0 * step + rng.normal(0, 0.2)]],
        timestamp=now,
        measurement_model=sensor,
    )
    prediction = predictor.predict(track, timestamp=now)
    track = updater.update(hypothesis.SingleHypothesis(prediction, seen))
assert abs(float(track.state_vector[1, 0]) - 3) < 0.3, track.state_vector
assert abs(float(track.state_vector[3, 0]) - 1) < 0.3, track.state_vector

account = motmetrics.MOTAccumulator(auto_id=True)
for step in range(5):
    account.update([1, 2], [1 if step < 3 else 3, 2], [[0.1, np.nan], [np.nan, 0.2]])
summary = motmetrics.metrics.create().compute(account, metrics=["num_switches", "mota"])
assert int(summary["num_switches"].iloc[0]) == 1

edges = cv2.Canny(np.pad(np.full((20, 20), 255, np.uint8), 10), 50, 150)
assert edges.any()
box = shapely.box(0, 0, 2, 1).intersection(shapely.box(1, 0, 3, 1))
assert box.area == 1
