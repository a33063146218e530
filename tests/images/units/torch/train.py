"""A small network learns real digits, is kept without pickle, and is written as ONNX with the same answers."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

np: Any = importlib.import_module("numpy")

torch: Any = importlib.import_module("torch")
nn: Any = importlib.import_module("torch.nn")
datasets: Any = importlib.import_module("sklearn.datasets")
safetensors: Any = importlib.import_module("safetensors.torch")
onnx: Any = importlib.import_module("onnx")

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = datasets.load_digits(return_X_y=True)
x = torch.tensor(images, dtype=torch.float32) / 16
y = torch.tensor(labels)
net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
for _ in range(60):
    optimiser.zero_grad()
    nn.functional.cross_entropy(net(x[:1500]), y[:1500]).backward()
    optimiser.step()
net.eval()
right = float((net(x[1500:]).argmax(1) == y[1500:]).float().mean())
assert right > 0.85, right

folder = Path(tempfile.mkdtemp())
safetensors.save_file(net.state_dict(), str(folder / "net.safetensors"))
again = safetensors.load_file(str(folder / "net.safetensors"))
assert all(torch.equal(again[name], value) for name, value in net.state_dict().items())

torch.onnx.export(net, (x[:4],), str(folder / "net.onnx"), dynamo=True, verbose=False)
model = onnx.load(str(folder / "net.onnx"))
onnx.checker.check_model(model)
evaluator: Any = importlib.import_module("onnx.reference")
[answer] = evaluator.ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x[:4].numpy()})
assert np.allclose(answer, net(x[:4]).detach().numpy(), atol=1e-4)
