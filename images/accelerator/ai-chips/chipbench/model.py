"""The model: a small network that reads handwritten digits, trained here in seconds, kept as an ONNX file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIZES = (64, 128, 64, 10)
SEED = 0
_OPSET, _IR = 17, 8  # old enough for every maker's runtime


@dataclass(frozen=True)
class Digits:
    """The digits of the UCI repository (in scikit-learn), 8 x 8 pixels from 0 to 1, three tenths held out."""

    train_x: Any
    train_y: Any
    test_x: Any
    test_y: Any


def digits() -> Digits:
    """The data, split the same way each time."""
    pixels, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        (pixels / 16).astype(np.float32), labels, test_size=0.3, random_state=SEED, stratify=labels
    )
    return Digits(train_x, train_y, test_x, test_y)


def train(data: Digits) -> list[Any]:
    """The weights (out x in) and biases of the layers, one after the other."""
    torch.manual_seed(SEED)
    net = network()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.005)
    x, y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return [part.detach().numpy() for part in net.parameters()]


def network() -> Any:
    """The network in PyTorch, untrained."""
    layers: list[Any] = []
    for a, b in pairwise(SIZES):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def kept(path: Path, data: Digits) -> bytes:
    """The fp32 model in the file ``path``; trained and written there if there is none yet.

    So every environment of one person measures the same model.
    """
    if not path.exists():
        written = path.with_suffix(".part")
        written.write_bytes(graph(train(data), onnx.TensorProto.FLOAT))
        written.replace(path)
    return path.read_bytes()


def weights(model: bytes) -> list[Any]:
    """The weights and biases that ``train`` gave, out of the file."""
    return [numpy_helper.to_array(part) for part in onnx.load_from_string(model).graph.initializer]


def graph(parts: list[Any], kind: int) -> bytes:
    """The ONNX model of ``parts`` that computes in ``kind``; what goes in and out is fp32."""
    float_, last = onnx.TensorProto.FLOAT, len(parts) // 2 - 1
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes, tensors, value = [], [], "x"
    if kind != float_:
        nodes.append(helper.make_node("Cast", ["x"], ["xc"], to=kind))
        value = "xc"
    for i in range(last + 1):
        tensors += [
            numpy_helper.from_array(parts[2 * i].astype(dtype), f"w{i}"),
            numpy_helper.from_array(parts[2 * i + 1].astype(dtype), f"b{i}"),
        ]
        out = f"g{i}" if i < last or kind != float_ else "y"
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [out], transB=1))
        if i < last:
            nodes.append(helper.make_node("Relu", [out], [f"r{i}"]))
            out = f"r{i}"
        value = out
    if kind != float_:
        nodes.append(helper.make_node("Cast", [value], ["y"], to=float_))
    made = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", float_, ["n", SIZES[0]])],
        [helper.make_tensor_value_info("y", float_, ["n", SIZES[-1]])],
        tensors,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def in_precision(model: bytes, precision: str, data: Digits) -> bytes:
    """The fp32 ``model`` for another precision; int8 is calibrated with the training data."""
    if precision == "fp32":
        return model
    if precision == "bf16":
        return graph(weights(model), onnx.TensorProto.BFLOAT16)
    # late: it takes a second, and nothing else needs it
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Calibration(quantization.CalibrationDataReader):
        """Batches of the training data."""

        def __init__(self) -> None:
            self.batches = iter(np.array_split(data.train_x, 10))

        def get_next(self) -> dict[str, Any] | None:
            """The next batch, or nothing."""
            batch = next(self.batches, None)
            return None if batch is None else {"x": batch}

    with tempfile.TemporaryDirectory() as folder:
        whole, ready, small = (Path(folder, f"{n}.onnx") for n in ("whole", "ready", "small"))
        whole.write_bytes(model)
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(str(ready), str(small), Calibration())
        return small.read_bytes()
