"""The conformance suite, on the plugin and the smallest model of each of its kinds."""

import pytest

from pvzoo.testing import conformance

test_promises = pytest.mark.slow(conformance("pvzoo-shapes"))
