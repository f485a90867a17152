"""Turn a network's outputs into predictions with pure functions that do not need the network.

They take float32 numpy arrays. Only masks and maps may also be tensors on an accelerator;
`pvzoo.postprocess.tensors` scales them there. No other module here imports torch.
"""

from pvzoo.postprocess.detection import corners, select
from pvzoo.postprocess.scores import largest, sigmoid, softmax

__all__ = ["corners", "largest", "select", "sigmoid", "softmax"]
