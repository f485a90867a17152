"""Pure functions from a network's outputs to predictions; no module knows of a network.

They take numpy arrays in float32. Only masks and maps may also be tensors on an accelerator, which
`pvzoo.postprocess.tensors` then scales there; nothing else here imports torch.
"""

from pvzoo.postprocess.detection import corners, select
from pvzoo.postprocess.scores import largest, sigmoid, softmax

__all__ = ["corners", "largest", "select", "sigmoid", "softmax"]
