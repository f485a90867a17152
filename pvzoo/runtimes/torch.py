"""The runtime of PyTorch; Accelerate chooses the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import DeviceError, PvzooError, UsageError
from pvzoo.networks.base import Network
from pvzoo.processes import joined
from pvzoo.runtimes.allocator import keep_freed_memory
from pvzoo.runtimes.base import Runtime


class TorchRuntime(Runtime):
    """Runs the graphs of a `Network` under `torch.inference_mode`.

    Without a device, Accelerate chooses one: the accelerator of this machine (under ``accelerate
    launch``, that of this process), or else the CPU. ``device_map`` spreads a network that is too
    large for one device over all devices, with Accelerate's `dispatch_model`.
    """

    def __init__(
        self, adapter: Adapter, network: Network | None, *, device: Any, device_map: Any
    ) -> None:
        if network is None:
            raise UsageError(
                f"{type(adapter).__name__} has no network that PyTorch can run.",
                "Leave runtime out.",
            )
        self._on_device = adapter.on_device
        module = network.module.eval()
        self.dtype = next(p.dtype for p in module.parameters() if p.is_floating_point())
        if device_map is not None:
            network.module = _spread(module, device, device_map)
            first = next(network.module.parameters()).device
            # weights that stay on disk or in main memory until they are needed are on "meta"
            self.device = torch.device("cpu") if first.type == "meta" else first
        else:
            self.device = _device(device)
            try:
                module.to(self.device)
            except torch.OutOfMemoryError as error:
                raise DeviceError(
                    f"The network does not fit into the memory of {self.device}.",
                    "Use device_map='auto' to spread it, or dtype='float16' to halve it.",
                ) from error
        if self.device.type == "cpu":
            keep_freed_memory()
        self._graphs = {graph.name: graph.module for graph in network.graphs()}

    def __call__(self, name: str, inputs: Arrays) -> dict[str, Any]:
        """A batch of arrays -> arrays; floating-point numbers are float32. No gradients are kept.

        An output that the adapter names in ``on_device`` stays a tensor on an accelerator.

        Raises:
            DeviceError: The device has too little memory.
            PvzooError: The network failed with this size or dtype, or gave numbers that are not
                finite, so no result can be read from them.
        """
        tensors = {name: self._tensor(array) for name, array in inputs.items()}
        try:
            with torch.inference_mode():
                outputs = self._graphs[name](**tensors)
        except PvzooError:
            raise
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._full(inputs) from error
        except Exception as error:  # networks raise many kinds of errors for inputs they refuse
            # PyTorch has no class of error for a full memory of CPUs and Metal
            if any(text in str(error) for text in ("out of memory", "allocate memory")):
                raise self._full(inputs) from error
            shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
            raise PvzooError(
                f"The network failed on {shapes} in {self.dtype} ({_line(error)}).",
                "Some networks need larger images, or float32.",
            ) from error
        # the sum is finite only if all numbers are; it takes no memory; float16 would overflow
        floats = [t for t in outputs.values() if t.is_floating_point()]
        if not all(
            t.sum(dtype=torch.promote_types(t.dtype, torch.float32)).isfinite() for t in floats
        ):
            raise PvzooError(
                f"The network gave numbers that are not finite, in {self.dtype}.",
                "Use dtype='bfloat16' or 'float32'. If it already did, the weights are damaged.",
            )
        return {name: self._handed_out(name, tensor) for name, tensor in outputs.items()}

    def _handed_out(self, name: str, tensor: torch.Tensor) -> torch.Tensor | np.ndarray:
        """Convert an output for `postprocess`."""
        if tensor.device.type != "cpu" and name in self._on_device:
            return tensor.float()
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()

    def _full(self, inputs: Arrays) -> DeviceError:
        size = len(next(iter(inputs.values())))
        return DeviceError(
            f"{self.device} has too little memory for a batch of {size}.",
            "Use a smaller batch_size, or dtype='float16'.",
        )

    def _tensor(self, array: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Move an input to the device; the output of another graph is already a tensor there."""
        tensor = array if isinstance(array, torch.Tensor) else torch.from_numpy(array)
        dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.device, dtype)


class _NoDevice(DeviceError, UsageError):
    """There is no device with the name that the user gave."""


def _line(error: Exception) -> str:
    """The message of an error, in one line."""
    return next(iter(str(error).splitlines()), "").removesuffix(".") or type(error).__name__


def _device(device: Any) -> torch.device:
    found: torch.device
    if device is None:
        found = joined().device
        return found
    kind: type[DeviceError] = _NoDevice
    try:
        found = torch.device(device)
        kind = DeviceError
        torch.zeros(1, device=found).item()  # a valid name may not be available, or be "meta"
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise kind(
            f"The device {device!r} cannot be used ({reason}).",
            "Leave device out for the best one here, or use device='cpu'.",
        ) from error
    return found


def _spread(module: torch.nn.Module, device: Any, device_map: Any) -> torch.nn.Module:
    if device is not None:
        raise UsageError("device and device_map exclude each other.", "Give one of them.")
    if device_map == "auto":
        whole = list(getattr(module, "_no_split_modules", None) or _blocks(module))
        memory = get_balanced_memory(module, no_split_module_classes=whole)
        device_map = infer_auto_device_map(module, memory, no_split_module_classes=whole)
    if not isinstance(device_map, dict):
        raise UsageError(
            f"device_map is {device_map!r}.", "It must be 'auto' or a dict, as for Accelerate."
        )
    for index in set(device_map.values()) - {"disk"}:
        _device(index)
    try:
        spread: torch.nn.Module = dispatch_model(module, device_map)
    except (ValueError, RuntimeError) as error:
        raise DeviceError(
            f"The network cannot be spread over the devices here ({error}).",
            "Use device_map='auto', dtype='float16' or a smaller model.",
        ) from error
    return spread


def _blocks(module: torch.nn.Module) -> set[str]:
    """The classes of a network's repeated blocks; a block adds tensors, so it needs one device."""
    rows = (torch.nn.Sequential, torch.nn.ModuleList)
    return {
        type(child).__name__
        for part in module.modules()
        if isinstance(part, rows)
        for child in part.children()
        if any(child.children()) and not isinstance(child, rows)
    }
