"""Notice that images differ from those a model was validated on.

An export made with labelled or other images carries `Reference`: how bright its images were, how
many objects were found, and how sure the model was. `Watch` compares what a model sees later. No
embedding and no label is needed.
"""

from __future__ import annotations

from pvzoo.drift.figures import Seen, figures_of
from pvzoo.drift.reference import Reference
from pvzoo.drift.watch import Shift, Watch

__all__ = ["Reference", "Seen", "Shift", "Watch", "figures_of"]
