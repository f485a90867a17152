"""All rules about a model and about a plugin, in the order of the checks."""

from pvzoo.testing.demo_rules import DEMO_RULES
from pvzoo.testing.format_rules import FORMAT_RULES
from pvzoo.testing.network_rules import NETWORK_RULES
from pvzoo.testing.plugin_rules import DISTRIBUTION_RULES
from pvzoo.testing.predict_rules import PREDICT_RULES
from pvzoo.testing.training_rules import TRAINING_RULES

MODEL_RULES = (*PREDICT_RULES, *DEMO_RULES, *NETWORK_RULES, *TRAINING_RULES)
PLUGIN_RULES = (*DISTRIBUTION_RULES, *FORMAT_RULES)
