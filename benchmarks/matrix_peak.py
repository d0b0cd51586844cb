"""The peak of this machine's matrix products, by numpy in float32 and by ONNX Runtime in int8."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PEAK_SECONDS = 0.6


def measure_peak(shapes: Sequence[Sequence[int]], threads: int) -> dict[str, Any]:
    """Thousand million operations a second of matrix products (m, k, n), the best of many, and the highest of each kind.

    `int8` is of the products alone, `int8_dynamic` with the quantising around them that the encoder's graph does.
    """
    import numpy as np

    found: list[dict[str, Any]] = []
    with TemporaryDirectory() as work:
        for m, k, n in shapes:
            rng = np.random.default_rng(0)
            a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
            product = np.empty((m, n), np.float32)
            runs: dict[str, Callable[[], object]] = {
                "fp32": partial(np.matmul, a, b, out=product),
                "int8": _integer_product(m, b, threads),
                "int8_dynamic": _dynamic_product(a, b, Path(work), threads),
            }
            found.append({"shape": [m, k, n], **{kind: 2e-9 * m * k * n / _best(run) for kind, run in runs.items()}})
    return {kind: max(row[kind] for row in found) for kind in ("fp32", "int8", "int8_dynamic")} | {"shapes": found}


def _best(run: Callable[[], object]) -> float:
    run()
    best, end = float("inf"), time.perf_counter() + PEAK_SECONDS
    while (begun := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - begun)
    return best


def _integer_product(m: int, b: Any, threads: int) -> Callable[[], object]:
    """ONNX Runtime's MatMulInteger of bytes, without the quantising around it."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    k, n = b.shape
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.integers(-127, 128, (k, n), np.int8), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [m, k])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [m, n])],
        [weights],
    )
    return _bound_run(_model(graph), rng.integers(0, 256, (m, k), np.uint8), np.empty((m, n), np.int32), threads)


def _dynamic_product(a: Any, b: Any, work: Path, threads: int) -> Callable[[], object]:
    """The same product as the encoder's graph has it: fp32 outside, quantised as newswatch_training.graph does."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from newswatch_training.graph import quantise

    (m, _), (_, n) = a.shape, b.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, a.shape)],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [m, n])],
        [numpy_helper.from_array(b, "b")],
    )
    whole, target = work / "whole.onnx", work / "int8.onnx"
    whole.write_bytes(_model(graph))
    quantise(whole, target)
    return _bound_run(target.read_bytes(), a, np.empty((m, n), np.float32), threads)


def _model(graph: Any) -> bytes:
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()  # type: ignore[no-any-return]


def _bound_run(model: bytes, given: Any, result: Any, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("a", onnxruntime.OrtValue.ortvalue_from_numpy(given))
    binding.bind_ortvalue_output("c", onnxruntime.OrtValue.ortvalue_from_numpy(result))
    return lambda: session.run_with_iobinding(binding)
