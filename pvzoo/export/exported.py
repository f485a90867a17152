"""An exported folder -> the adapter that reads it and the runtime that runs it, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.errors import UnsupportedModelError, UsageError
from pvzoo.export import manifest
from pvzoo.export.onnx_file import check_graph
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.adapters.base import Adapter
    from pvzoo.export.manifest import Manifest
    from pvzoo.runtimes.base import Runtime


@dataclass(frozen=True)
class Exported:
    """An exported model that is open.

    Attributes:
        manifest: What was said of it at export.
        adapter: Makes inputs and reads outputs.
        runtime: Runs the graphs.
    """

    manifest: Manifest
    adapter: Adapter
    runtime: Runtime


def open_folder(
    folder: Path,
    name: str,
    *,
    runtime: str | None = None,
    device: Any = None,
    threads: int | None = None,
) -> Exported:
    """Open an export; nothing of it is run before all of it was checked.

    Args:
        folder: What `pvzoo.export.write.export` wrote.
        name: What messages call the model.
        runtime: Instead of the one it was made for, such as "openvino" for ONNX files.
        device: "cpu", "cuda", "gpu", "npu", as the runtime has it; None leaves it to the runtime.
        threads: Most threads that compute one batch; None leaves it to the runtime.

    Raises:
        DeviceError: The device is not here.
        MissingExtraError: The package of the runtime is not installed.
        UnsupportedModelError: Its adapter cannot serve its task.
        UsageError: The runtime does not run files of this kind.
        WeightsError: The manifest or a file is damaged, or is not what was exported.
    """
    found = manifest.read(folder, name)
    manifest.check_files(found, folder, name)
    chosen = runtime or found.runtime
    kinds = {Path(graph.file).suffix for graph in found.graphs.values()}
    runtime_class = registry.get("runtimes", chosen)
    if not kinds <= set(runtime_class.suffixes):
        raise UsageError(
            f"{name} was exported for {found.runtime}, and {chosen} does not run such files "
            f"({', '.join(sorted(kinds))}).",
            f"Leave runtime out, or export it again with runtime={chosen!r}.",
        )
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int) or threads < 1
    ):
        raise UsageError(f"threads is {threads!r}.", "It is a whole number from 1.")
    adapter_class = registry.get("adapters", found.spec.adapter)
    if found.spec.task not in adapter_class.tasks:
        raise UnsupportedModelError(
            f"{name} is for {found.spec.task}, which its adapter {found.spec.adapter} does not "
            "serve.",
            f"It serves {', '.join(adapter_class.tasks)}.",
        )
    for graph in found.graphs.values():
        check_graph(folder / graph.file, found.files)
    where = None if device is None else str(device)
    opened = runtime_class.open(folder, found.graphs, device=where, threads=threads)
    opened.nbytes = sum(stated["bytes"] for stated in found.files.values())
    return Exported(found, adapter_class(found.spec), opened)
