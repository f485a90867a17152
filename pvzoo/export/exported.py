"""Open an exported folder as an adapter and a runtime, without PyTorch."""

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
        manifest: Its manifest, written by the export.
        adapter: Makes the inputs and reads the outputs.
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
    """Open an export. All files are checked before anything runs.

    Args:
        folder: A folder that `pvzoo.export.write.export` wrote.
        name: The name of the model in messages.
        runtime: The runtime to use, such as "openvino" for ONNX files; None uses the one that the
            export was made for.
        device: "cpu", "cuda", "gpu" or "npu", if the runtime has it; None lets the runtime choose.
        threads: The largest number of threads for one batch; None lets the runtime choose.

    Raises:
        DeviceError: The device is not available.
        MissingExtraError: The package of the runtime is not installed.
        UnsupportedModelError: The adapter does not support the task.
        UsageError: The runtime does not run files of this kind.
        WeightsError: The manifest or a file is damaged, or a file is not the exported one.
    """
    found = manifest.read(folder, name)
    manifest.check_files(found, folder, name)
    chosen = runtime or found.runtime
    kinds = {Path(graph.file).suffix for graph in found.graphs.values()}
    runtime_class = registry.get("runtimes", chosen)
    if not kinds <= set(runtime_class.suffixes):
        raise UsageError(
            f"{name} was exported for {found.runtime}, but {chosen} cannot run such files "
            f"({', '.join(sorted(kinds))}).",
            f"Leave runtime out, or export it again with runtime={chosen!r}.",
        )
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int) or threads < 1
    ):
        raise UsageError(f"threads is {threads!r}.", "It must be a whole number, at least 1.")
    adapter_class = registry.get("adapters", found.spec.adapter)
    if found.spec.task not in adapter_class.tasks:
        raise UnsupportedModelError(
            f"{name} is for {found.spec.task}, but its adapter {found.spec.adapter} does not "
            "support this task.",
            f"The adapter supports {', '.join(adapter_class.tasks)}.",
        )
    for graph in found.graphs.values():
        check_graph(folder / graph.file, found.files)
    where = None if device is None else str(device)
    opened = runtime_class.open(folder, found.graphs, device=where, threads=threads)
    opened.nbytes = sum(stated["bytes"] for stated in found.files.values())
    return Exported(found, adapter_class(found.spec), opened)
