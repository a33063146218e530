"""The same small model gives the same answer with every execution provider that is here."""

import importlib
from typing import Any

np: Any = importlib.import_module("numpy")

onnx: Any = importlib.import_module("onnx")
helper: Any = importlib.import_module("onnx.helper")
ort: Any = importlib.import_module("onnxruntime")

rng = np.random.default_rng(0)
weight = rng.normal(size=(8, 3)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
    "one layer",
    [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 8])],
    [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 3])],
    [onnx.numpy_helper.from_array(weight, "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
x = rng.normal(size=(5, 8)).astype(np.float32)
providers = ort.get_available_providers()
assert "CPUExecutionProvider" in providers, providers
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
[answer] = session.run(None, {"x": x})
assert np.allclose(answer, np.maximum(x @ weight, 0), atol=1e-5)

# no driver here: asking for a device's figures is refused by name, not by a crash
nvml: Any = importlib.import_module("pynvml")
try:
    nvml.nvmlInit()
except nvml.NVMLError_LibraryNotFound:
    pass
else:
    raise AssertionError("a driver is in the image; the host brings it")
