"""Tables come from and go to what people have: CSV with Korean names, Excel, Parquet."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

pd: Any = importlib.import_module("pandas")
folder = Path(tempfile.mkdtemp())
table = pd.DataFrame({"이름": ["가", "나"], "값": [1.5, -2.0]})
for kind in ("csv", "excel", "parquet"):
    file = folder / f"표.{ {'excel': 'xlsx'}.get(kind, kind) }"
    getattr(table, f"to_{kind}")(file, index=False)
    assert getattr(pd, f"read_{kind}")(file).equals(table), kind
for language in ("ko", "en"):
    assert len(pd.read_csv(f"/opt/madang/samples/{language}/wine.csv")) > 100
