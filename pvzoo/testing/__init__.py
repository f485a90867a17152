"""The conformance suite: what pvzoo promises its users, checked on anybody's plugin.

A plugin's test file turns it on in two lines::

    from pvzoo.testing import conformance

    test_conformance = conformance("my-plugin")

and ``pvzoo verify-plugin my-plugin`` runs the same rules. They need no network beyond what the
plugin's own models need. A rule on an optional part (training, saving, torch) is skipped, with the
reason, where an adapter does not have the part.

For an adapter without cards, ``conformance(models=[folder])`` takes checkpoints; with fixtures of
your own, parametrize over `MODEL_RULES` and call `judge`. `scenes` draws labelled data to try a
plugin on.
"""

from pvzoo.testing.model_rules import MODEL_RULES
from pvzoo.testing.plugin_rules import PLUGIN_RULES, InstalledPlugin
from pvzoo.testing.rules import Broken, ConformanceRule, NotApplicable, Verdict, judge
from pvzoo.testing.scenes import scenes
from pvzoo.testing.subject import Subject
from pvzoo.testing.suite import conformance, verify

__all__ = [
    "conformance",
    "verify",
    "judge",
    "scenes",
    "MODEL_RULES",
    "PLUGIN_RULES",
    "Subject",
    "InstalledPlugin",
    "ConformanceRule",
    "Verdict",
    "Broken",
    "NotApplicable",
]
