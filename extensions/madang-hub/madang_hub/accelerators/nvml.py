"""What NVIDIA's driver says of its GPUs, by NVML (``nvidia-ml-py``, NVIDIA's own binding).

A card in MIG mode is no slot itself, its slices are. Where library or driver are absent there are no GPUs
and one sentence says why. NVML can hang on a broken card, and a call into it cannot be ended: so each
reading runs in a thread of its own with a time limit, at most one of them at a time. What was read before
it hung is kept.

Health is what the driver says: the card is lost or must be reset, memory errors that ECC could not correct
since the last reset, memory pages or rows that wait for a reset to be replaced, and the recovery that the
driver asks for, which takes in its error events (XID). Names and meanings: NVML API reference.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from madang_hub.accelerators.slots import Use

SECONDS = 20.0
"""The time limit of one reading. Without persistence mode the driver wakes each card, a second or two."""
NO_NVML = (
    "NVIDIA GPUs are not looked for: no NVIDIA driver library (libnvidia-ml.so.1) on this machine."
)
HUNG = "NVIDIA's driver library does not answer"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card or a MIG slice.

    Attributes:
        uuid: ``GPU-…`` or ``MIG-…``.
        index: NVML's number at this moment, ``0``; of a slice ``0:1`` (card, slice).
        node: the card's device node, ``/dev/nvidia0``; empty where NVML does not say.
        memory: bytes; 0 where NVML does not say.
        why: what is wrong with it, one sentence; empty when nothing is.
        parent: of a slice, its card's UUID.
        sliced: a card in MIG mode.
    """

    uuid: str
    index: str
    node: str
    model: str
    memory: int
    use: Use
    why: str = ""
    parent: str = ""
    sliced: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What NVML said once.

    Attributes:
        gpus: cards and slices, in NVML's order; sliced cards are among them.
        notes: sentences for the operator.
        present: whether there is an NVIDIA driver to ask at all.
        complete: False where it did not answer, or a card is there that cannot be told apart: then
            a GPU that is not in ``gpus`` is not known to be gone.
    """

    gpus: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()
    present: bool = True
    complete: bool = True


@dataclass
class _Draft:
    """A reading while its thread works on it."""

    gpus: list[Gpu] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    present: bool = True
    unclear: bool = False
    finished: bool = False
    step: str = "starting it"


class Nvml:
    """NVML on this machine. Keep one, so that a hung reading is known to the next."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._thread: threading.Thread | None = None
        self._draft = _Draft()

    def read(self) -> Reading:
        """Ask for every card; takes at most ``seconds``. Raises nothing."""
        if self._thread is not None and self._thread.is_alive():
            return self._unfinished(f"{HUNG} since an earlier question ({self._draft.step}).")
        self._draft = draft = _Draft()
        self._thread = threading.Thread(target=_fill, args=(draft,), name="nvml", daemon=True)
        self._thread.start()
        self._thread.join(self.seconds)
        if self._thread.is_alive():
            return self._unfinished(
                f"{HUNG} within {self.seconds:g} seconds ({draft.step}); "
                "'nvidia-smi' will hang as well, and a restart of the machine may be needed."
            )
        complete = draft.finished and not draft.unclear
        return Reading(tuple(draft.gpus), tuple(draft.notes), draft.present, complete)

    def _unfinished(self, why: str) -> Reading:
        return Reading(tuple(self._draft.gpus), (*self._draft.notes, why), complete=False)


def _fill(draft: _Draft) -> None:
    # here, so that only who asks for GPUs loads it
    import pynvml as nvml

    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        draft.present = error.value not in (
            nvml.NVML_ERROR_LIBRARY_NOT_FOUND,
            nvml.NVML_ERROR_DRIVER_NOT_LOADED,
        )
        draft.finished = not draft.present
        if error.value == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            draft.notes.append(NO_NVML)
        else:
            draft.notes.append(f"NVIDIA's driver cannot be asked: {error}. 'nvidia-smi' says more.")
        return
    try:
        for number in range(nvml.nvmlDeviceGetCount()):
            draft.step = f"asking for GPU {number}"
            _card(nvml, number, draft)
        draft.step = "ending the question"
        nvml.nvmlShutdown()
        draft.finished = True
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError) as error:
        draft.notes.append(f"NVIDIA's driver failed while {draft.step}: {error}.")


def _card(nvml: Any, number: int, draft: _Draft) -> None:
    card = _Card(nvml)
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        uuid = nvml.nvmlDeviceGetUUID(handle)
    except nvml.NVMLError as error:
        # it cannot even say which one it is
        draft.unclear = True
        fault = card.fault_of(error) or f"does not answer its driver ({error})"
        draft.notes.append(f"NVIDIA GPU {number} {fault}.")
        return
    minor = card.ask(nvml.nvmlDeviceGetMinorNumber, handle)
    node = "" if minor is None else f"/dev/nvidia{minor}"
    modes = card.ask(nvml.nvmlDeviceGetMigMode, handle)
    if not modes or modes[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        whole = card.seen(handle, uuid, str(number), node)
        draft.gpus.append(replace(whole, why=card.why_ill(handle)))
        return
    slices = []
    for place in range(card.ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        draft.step = f"asking for slice {place} of GPU {number}"
        part = card.ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
        name = None if part is None else card.ask(nvml.nvmlDeviceGetUUID, part)
        if name is not None:
            slices.append(card.seen(part, name, f"{number}:{place}", node, parent=uuid))
    model = card.ask(nvml.nvmlDeviceGetName, handle) or ""
    why = card.why_ill(handle)
    draft.gpus.append(Gpu(uuid, str(number), node, model, 0, Use(), why, sliced=True))
    draft.gpus.extend(replace(part, why=why) for part in slices)
    if not slices:
        draft.notes.append(
            f"{model} ({uuid}) is in MIG mode and has no slices, so it cannot be used: "
            f"{why or 'make some with nvidia-smi mig -cgi … -C.'}"
        )


class _Card:
    """Questions to one card and its slices; remembers a fault that an answer tells of."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.fault = ""

    def ask(self, question: Callable[..., Any], *words: Any) -> Any:
        """The answer, or None where this card or driver has none."""
        try:
            return question(*words)
        except self.nvml.NVMLError as error:
            self.fault = self.fault or self.fault_of(error)
        except self.nvml.NVMLLibraryMismatchError:
            pass  # an older driver without this question
        return None

    def fault_of(self, error: Any) -> str:
        """What ``error`` tells of the card ("It …"); empty when it is about the question only."""
        return {
            self.nvml.NVML_ERROR_GPU_IS_LOST: "is lost: it fell off the bus (NVML: GPU is lost); "
            "restart the machine",
            self.nvml.NVML_ERROR_RESET_REQUIRED: "needs a reset ('nvidia-smi -r') before it can be "
            "used again",
            self.nvml.NVML_ERROR_IRQ_ISSUE: "cannot signal the machine (NVML: interrupt request issue)",
            self.nvml.NVML_ERROR_INSUFFICIENT_POWER: "has too little power; look at its power cable",
        }.get(error.value, "")

    def seen(self, handle: Any, uuid: str, index: str, node: str, parent: str = "") -> Gpu:
        """The card or slice with its use; the driver has no utilisation of a slice."""
        nvml, ask = self.nvml, self.ask
        rates = None if parent else ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        # this form does not count as used what the driver keeps for itself; old drivers lack it
        memory = ask(nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
        memory = memory or ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        computing = ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle)
        drawing = ask(nvml.nvmlDeviceGetGraphicsRunningProcesses, handle)
        use = Use(
            None if rates is None else int(rates.gpu),
            None if memory is None else int(memory.used),
            None
            if computing is None
            else tuple(sorted({process.pid for process in (*computing, *(drawing or ()))})),
        )
        model = ask(nvml.nvmlDeviceGetName, handle) or ""
        size = 0 if memory is None else int(memory.total)
        return Gpu(uuid, index, node, model, size, use, parent=parent)

    def why_ill(self, handle: Any) -> str:
        """What is wrong with the card, in one sentence; empty when the driver names nothing."""
        nvml, ask = self.nvml, self.ask
        action = self._recovery(handle)
        pages = ask(nvml.nvmlDeviceGetRetiredPagesPendingStatus, handle)
        rows = ask(nvml.nvmlDeviceGetRemappedRows, handle)
        errors = sum(
            ask(
                nvml.nvmlDeviceGetMemoryErrorCounter,
                handle,
                nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                nvml.NVML_VOLATILE_ECC,
                where,
            )
            or 0
            for where in (nvml.NVML_MEMORY_LOCATION_DRAM, nvml.NVML_MEMORY_LOCATION_SRAM)
        )
        if self.fault:
            return f"It {self.fault}."
        if action:
            return f"The driver asks for {action}."
        if rows and rows[3]:
            return (
                "Broken rows of its memory could not be replaced; the maker exchanges such a card."
            )
        if pages == nvml.NVML_FEATURE_ENABLED or (rows and rows[2]):
            return "Broken parts of its memory are replaced at the next reset ('nvidia-smi -r')."
        if errors:
            return (
                f"Its memory had {errors} error(s) since the last reset that could not be corrected; "
                "reset it ('nvidia-smi -r')."
            )
        return ""

    def _recovery(self, handle: Any) -> str:
        """What the driver wants done before the card can be used again; empty for nothing."""
        nvml = self.nvml
        field_id = nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
        values = self.ask(nvml.nvmlDeviceGetFieldValues, handle, [field_id])
        if not values or values[0].nvmlReturn != nvml.NVML_SUCCESS:
            return ""  # older drivers have no such field
        # the other actions concern links between GPUs or between machines, not the card
        return {
            nvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET: "a reset of the card ('nvidia-smi -r')",
            nvml.NVML_GPU_RECOVERY_ACTION_NODE_REBOOT: "a restart of the machine",
            nvml.NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET: "a reset of the card ('nvidia-smi -r') "
            "once nobody uses it",
            nvml.NVML_GPU_RECOVERY_ACTION_BUS_RESET: "a reset of the card's bus",
            nvml.NVML_GPU_RECOVERY_ACTION_SYSTEM_REBOOT: "a restart of the machine",
        }.get(values[0].value.uiVal, "")
