"""The conformance suite, on a small random checkpoint of each adapter's families."""

from __future__ import annotations

import pytest

from pvzoo.testing import MODEL_RULES, PLUGIN_RULES, InstalledPlugin, Subject, judge


@pytest.fixture(scope="module")
def subject(checkpoint):
    made = {}

    def of(family):
        if family not in made:
            made[family] = Subject(checkpoint(family))
        return made[family]

    return of


@pytest.mark.parametrize("rule", PLUGIN_RULES, ids=str)
def test_the_plugin_keeps_the_rule(rule):
    finding = judge(rule, InstalledPlugin.of("pvzoo-open-vocabulary"))
    assert finding.state != "broken", str(finding)


@pytest.mark.parametrize("rule", MODEL_RULES, ids=str)
@pytest.mark.parametrize("family", ["owlv2", "grounding-dino", "clip", "siglip2"])
def test_the_family_keeps_the_rule(family, rule, subject):
    finding = judge(rule, subject(family))
    assert finding.state != "broken", str(finding)
