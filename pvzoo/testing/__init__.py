"""The conformance suite: check on any plugin what pvzoo promises its users.

A plugin's test file turns it on in two lines::

    from pvzoo.testing import conformance

    test_conformance = conformance("my-plugin")

and ``pvzoo verify-plugin my-plugin`` runs the same rules. They need no network beyond what the
plugin's own models need. A rule about an optional part (training, saving, torch) is skipped, with
the reason, if an adapter does not have the part.

For an adapter without cards, pass checkpoints: ``conformance(models=[folder])``. To use your own
fixtures, parametrize over `MODEL_RULES` and call `judge`. `scenes` draws labelled data to test a
plugin with.
"""

from pvzoo.testing.all_rules import MODEL_RULES, PLUGIN_RULES
from pvzoo.testing.plugin_rules import InstalledPlugin
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
