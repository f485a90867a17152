"""The conformance suite, on a small random checkpoint of each adapter's families."""

from __future__ import annotations

import pytest

from pvzoo.testing import MODEL_RULES, PLUGIN_RULES, InstalledPlugin, Subject, judge


@pytest.fixture(scope="module")
def subject(checkpoint):
    made = {}

    def of(family):
        if family not in made:
            made[family] = Subject(checkpoint(family), options={"boxes": [[1, 2, 20, 24]]})
        return made[family]

    return of


@pytest.mark.parametrize("rule", PLUGIN_RULES, ids=str)
def test_the_plugin_keeps_the_rule(rule):
    finding = judge(rule, InstalledPlugin.of("pvzoo-promptable"))
    assert finding.state != "broken", str(finding)


@pytest.mark.parametrize("rule", MODEL_RULES, ids=str)
@pytest.mark.parametrize("family", ["sam", "sam_hq", "sam2"])
def test_the_family_keeps_the_rule(family, rule, subject):
    finding = judge(rule, subject(family))
    assert finding.state != "broken", str(finding)
