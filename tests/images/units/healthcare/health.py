"""Sequences, alignments, ECG records, survival and image files."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

np: Any = importlib.import_module("numpy")

seq: Any = importlib.import_module("Bio.Seq")
align: Any = importlib.import_module("Bio.Align")
pysam: Any = importlib.import_module("pysam")
wfdb: Any = importlib.import_module("wfdb")
nk: Any = importlib.import_module("neurokit2")
lifelines: Any = importlib.import_module("lifelines")
pydicom: Any = importlib.import_module("pydicom")

assert str(seq.Seq("ATGGCC").translate()) == "MA"
aligner = align.PairwiseAligner(mode="global", match_score=1, mismatch_score=-1, gap_score=-2)
assert aligner.score("GATTACA", "GATTTACA") == 5

folder = Path(tempfile.mkdtemp())
header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": 1000}]}
with pysam.AlignmentFile(str(folder / "a.bam"), "wb", header=header) as file:
    for start in (10, 200):
        read = pysam.AlignedSegment(file.header)
        read.query_name, read.query_sequence, read.reference_id = f"r{start}", "ACGT", 0
        read.reference_start, read.cigarstring, read.mapping_quality = start, "4M", 60
        file.write(read)
pysam.index(str(folder / "a.bam"))
with pysam.AlignmentFile(str(folder / "a.bam")) as file:
    assert [r.query_name for r in file.fetch("chr1", 100, 300)] == ["r200"]

rate = 250
ecg = nk.ecg_simulate(duration=20, sampling_rate=rate, heart_rate=70, noise=0.02, random_state=1)
wfdb.wrsamp("rec", fs=rate, units=["mV"], sig_name=["II"], p_signal=ecg[:, None], fmt=["16"],
            write_dir=str(folder))  # fmt: skip
record = wfdb.rdrecord(str(folder / "rec"))
assert np.allclose(record.p_signal[:, 0], ecg, atol=1e-3)
_, peaks = nk.ecg_peaks(nk.ecg_clean(ecg, sampling_rate=rate), sampling_rate=rate)
beats = 60 * rate / np.median(np.diff(peaks["ECG_R_Peaks"]))
assert abs(beats - 70) < 5, beats

fit = lifelines.KaplanMeierFitter().fit([1, 2, 3, 4], [1, 1, 0, 1])
assert abs(float(fit.survival_function_at_times(2).iloc[0]) - 0.5) < 1e-9

image = pydicom.dataset.Dataset()
image.PatientName, image.Rows, image.Columns = "홍^길동", 2, 2
image.file_meta = pydicom.dataset.FileMetaDataset()
image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
image.SpecificCharacterSet = "ISO_IR 192"
image.SOPClassUID, image.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
image.save_as(folder / "a.dcm", enforce_file_format=True)
assert str(pydicom.dcmread(folder / "a.dcm").PatientName) == "홍^길동"
