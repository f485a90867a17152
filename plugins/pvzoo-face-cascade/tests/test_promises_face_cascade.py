"""The conformance suite, on the plugin and the smallest model of each of its kinds."""

from pvzoo.testing import conformance

test_promises = conformance("pvzoo-face-cascade")
