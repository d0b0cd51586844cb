"""The runtime: an ONNX graph on this machine's processors, by ONNX Runtime or OpenVINO."""

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newswatch.processors import count_processors
from newswatch_labels.errors import InputError, MissingExtraError

Graph = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.float32]]


def open_graph(path: Path, precision: str, runtime: str | None = None, threads: int | None = None) -> Graph:
    """Load a graph with inputs `input_ids` (1, L) and `pooling` (1, K, L) and output `sentence_logits` (1, K, T).

    ONNX Runtime reads both precisions. OpenVINO reads fp32 graphs, and is the faster one there: it computes them in bfloat16 where
    the processor multiplies that in hardware (docs/benchmarks.md).

    Args:
        path: the ONNX file.
        precision: of its matrices, "int8" or "fp32".
        runtime: "openvino" or "onnxruntime"; default: NEWSWATCH_RUNTIME, else OpenVINO for fp32 where installed, else ONNX Runtime.
        threads: of one forward pass; default: NEWSWATCH_THREADS, else one for each processor this process may use.

    Returns:
        A function of `ids` (L,) and `pooling` (K, L) that gives logits (K, T); several threads may call it.

    Raises:
        InputError: no such runtime, one that does not read the precision, or no such number of threads.
        MissingExtraError: the runtime asked for is not installed.
    """
    name = (
        runtime
        or os.environ.get("NEWSWATCH_RUNTIME")
        or ("onnxruntime" if precision == "int8" or not find_spec("openvino") else "openvino")
    )
    if name not in RUNTIMES:
        raise InputError(f"runtime {name!r}", " or ".join(RUNTIMES), "Set NEWSWATCH_RUNTIME to one of them, or leave it unset.")
    if name == "openvino" and precision == "int8":
        raise InputError(
            "runtime openvino for an int8 graph", "onnxruntime", "Leave NEWSWATCH_RUNTIME unset, or fit with --precision fp32."
        )
    try:
        return RUNTIMES[name](path, _threads(threads))
    except ImportError as error:
        raise MissingExtraError(name, name) from error


def _threads(threads: int | None) -> int:
    given = threads if threads is not None else os.environ.get("NEWSWATCH_THREADS") or count_processors()
    try:
        count = int(given)
    except ValueError:
        count = 0
    if count < 1:
        raise InputError(f"{given!r} threads", "a whole number from 1", "Set NEWSWATCH_THREADS to one, or leave it unset.")
    return count


def _open_onnxruntime(path: Path, threads: int) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # ONNX Runtime 1.32 takes ten times as long for a sum and a layer norm fused as for one after the other.
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"])

    def run(ids: NDArray[np.int64], pooling: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: Any = session.run(["sentence_logits"], {"input_ids": ids[None], "pooling": pooling[None]})
        return outputs[0][0]  # type: ignore[no-any-return]

    return run


def _open_openvino(path: Path, threads: int) -> Graph:
    import openvino

    core = openvino.Core()
    hint = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint}
    compiled = core.compile_model(path, "CPU", config)
    local = threading.local()

    def run(ids: NDArray[np.int64], pooling: NDArray[np.float32]) -> NDArray[np.float32]:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        local.request.infer({"input_ids": ids[None], "pooling": pooling[None]}, share_inputs=True)
        return np.array(local.request.get_output_tensor().data[0])

    return run


RUNTIMES = {"onnxruntime": _open_onnxruntime, "openvino": _open_openvino}
