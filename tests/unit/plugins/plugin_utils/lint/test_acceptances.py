# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings that a flow or a service accepts, and acceptances that fit nothing."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._lint import rules
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.acceptances import NOT_ACCEPTED
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import Vaulted
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import PORT_FILE
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED, make_inventory, make_plan
from hypothesis import given

TODAY = date(2026, 11, 21)
RULE = "exposure"
MESSAGE = "Opens service {} to 0.0.0.0/0, but its exposure is platform."
UNUSED = "unused-acceptance"
HOSTS = {"desk": {"groups": ["workbench"], "addresses": ["10.0.0.1"]}}


def found(
    flow: dict[str, Any] | None = None, web: dict[str, Any] | None = None, ftp: dict[str, Any] | None = None
) -> list[tuple[str, str, str, str]]:
    """Return the findings for a flow of two services to which the whole internet may connect."""
    base = {"from": ["anywhere"], "to": ["workbench"], "services": ["web", "ftp"], "need": "recommended"}
    site = {
        "services": {"web": {"ports": ["443/tcp"], **(web or {})}, "ftp": {"ports": ["21/tcp"], **(ftp or {})}},
        "endpoints": {"anywhere": {"cidrs": ["0.0.0.0/0"]}},
        "flows": {"f": {**base, **(flow or {})}},
    }
    return [tuple(item) for item in findings(make_plan(site, HOSTS), TODAY)]


def accept(reason: Any, rule: str = RULE) -> dict[str, Any]:
    return {"accept": {rule: reason}}


def exposed(severity: str, more: str = "") -> list[tuple[str, str, str, str]]:
    return [(RULE, severity, "firewall_flows.f", MESSAGE.format(name) + more) for name in ("web", "ftp")]


def test_a_flow_accepts_its_findings_of_a_rule() -> None:
    assert found() == exposed("error")
    assert found(accept("a public mirror")) == exposed("accepted", " Accepted: 'a public mirror'")


def test_other_rules_still_count() -> None:
    assert [item[:2] for item in found(accept("x", "access-review") | {"review_by": "2026-01-01"})] == [
        ("access-review", "accepted"),
        (RULE, "error"),
        (RULE, "error"),
    ]


def test_services_accept_the_findings_of_a_flow_together() -> None:
    """One service does not accept what another service of the flow opens."""
    assert found(web=accept("a"), ftp=accept("b")) == exposed("accepted", " Accepted: 'a', 'b'")
    assert found(web=accept("a"), ftp=accept("a")) == exposed("accepted", " Accepted: 'a'")
    assert found(web=accept("a")) == [
        *exposed("error"),
        (UNUSED, "warning", "firewall_services.web.accept.exposure", FITS_NOTHING),
    ]


FITS_NOTHING = (
    "Fits no finding. Delete it. (The acceptance of a service counts for a flow if all services of the flow accept the "
    "rule.)"
)


def test_a_service_accepts_its_own_findings() -> None:
    wide = {"ports": ["10000-20000/tcp"], "exposure": "public"}
    flow = {"services": ["web"], "from": ["workbench"]}
    own = [item for item in found(flow, web={**wide, **accept("one range", "least-privilege")}) if "web" in item[2]]
    assert [item[:3] for item in own] == [("least-privilege", "accepted", "firewall_services.web")]


@pytest.mark.parametrize(("review_by", "is_due"), [("2026-11-20", True), ("2026-11-21", False), ("2027-01-01", False)])
def test_an_acceptance_ends_after_its_day(review_by: str, is_due: bool) -> None:
    due = (
        f" It was accepted ('seen'), but the acceptance was due for review on {review_by}. Check the reason, then set "
        "a new review_by in firewall_flows.f.accept.exposure, or delete the acceptance."
    )
    wanted = exposed("error", due) if is_due else exposed("accepted", " Accepted: 'seen'")
    assert found(accept({"reason": "seen", "review_by": review_by})) == wanted


def test_one_valid_acceptance_is_enough() -> None:
    due = accept({"reason": "old", "review_by": "2026-01-01"})
    assert found(due, web=accept("new"), ftp=accept("new")) == exposed("accepted", " Accepted: 'new'")
    assert found(accept("new"), web=due, ftp=due) == exposed("accepted", " Accepted: 'new'")
    # Of the services together, each one must be valid.
    assert [item[1] for item in found(web=due, ftp=accept("new"))] == ["error", "error"]


def test_a_reason_in_the_vault_is_not_shown() -> None:
    assert found(accept(Vaulted("hunter2"))) == exposed("accepted", " Accepted: a value from the vault")


def test_an_acceptance_that_fits_nothing() -> None:
    fits_nothing = (UNUSED, "warning", "firewall_flows.f.accept.nfs-internal", FITS_NOTHING.partition(" (")[0])
    assert found(accept("x", "nfs-internal")) == [*exposed("error"), fits_nothing]
    # Lint does not check flows that are off, and services that only they use.
    off = {"enabled": False, **accept("x", "nfs-internal")}
    assert found(off, web=accept("x", "nfs-internal")) == []
    # It accepts no finding about itself.
    assert found(accept("x", UNUSED))[2:] == [(*fits_nothing[:2], f"firewall_flows.f.accept.{UNUSED}", fits_nothing[3])]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_rule_that_lint_does_not_have(enabled: bool) -> None:
    items = found({"enabled": enabled, **accept("x", "exposre")}, web=accept("x", "zzz"))
    assert [item for item in items if item[0] == UNUSED] == [
        (
            UNUSED,
            "warning",
            "firewall_flows.f.accept.exposre",
            "'exposre' is not a rule of lint. Did you mean 'exposure'?",
        ),
        (
            UNUSED,
            "warning",
            "firewall_services.web.accept.zzz",
            "'zzz' is not a rule of lint. Delete it, or take the name of a rule from a finding.",
        ),
    ]


def test_shipped_acceptances_may_fit_nothing_and_those_of_the_site_over_them_may_not() -> None:
    flow = {"from": ["workbench"], "to": ["workbench"], "services": ["ssh"], "need": "recommended", **accept("shipped")}
    shipped = {**SHIPPED, "firewall_flows": {**SHIPPED["firewall_flows"], "f": flow}}
    inventory = make_inventory(HOSTS)

    def unused(**own: Any) -> list[str]:
        catalogue = load_catalogue(shipped, {"firewall_flows": {"f": own}}, inventory.groups)
        return [item.subject for item in findings(compile_plan(catalogue, inventory), TODAY) if item.rule == UNUSED]

    assert unused() == []
    assert unused(title="T") == []
    assert unused(**accept("own", "nfs-internal")) == ["firewall_flows.f.accept.nfs-internal"]
    assert unused(**accept("own")) == ["firewall_flows.f.accept.exposure"]


def test_the_shipped_port_file_accepts_known_rules() -> None:
    shipped = yaml.safe_load(Path(PORT_FILE).read_text(encoding="utf-8"))
    accepted = {
        rule
        for section in ("firewall_services", "firewall_flows")
        for entry in shipped[section].values()
        for rule in entry.get("accept", {})
    }
    assert accepted and accepted <= set(rules.DESCRIPTIONS)


# ---- Acceptances of a flow whose service has the finding ------------------------------------------------------------


def test_a_flow_does_not_accept_what_lint_finds_about_its_service() -> None:
    wide = {"ports": ["10000-20000/tcp"], "exposure": "public"}
    flow = {"services": ["web", "ftp"], "from": ["workbench"], **accept("one range", "least-privilege")}
    subject = "firewall_flows.f.accept.least-privilege"
    about = (
        "Fits no finding of this flow: the finding is about service web. Write it into firewall_services.web.accept."
    )
    unused = [item for item in found(flow, web=wide) if item[0] == UNUSED]
    assert unused == [(UNUSED, "warning", subject, about)]
    # Two services.
    both = [item[3] for item in found(flow, web=wide, ftp=wide) if item[0] == UNUSED]
    assert both == [
        "Fits no finding of this flow: the findings are about services ftp, web. Write it into "
        "firewall_services.ftp.accept and firewall_services.web.accept."
    ]
    # The service accepts it already.
    own = {**wide, **accept("one range", "least-privilege")}
    assert [item[3] for item in found(flow, web=own) if item[0] == UNUSED] == ["Fits no finding. Delete it."]
    # The service is not in the flow.
    other = {"services": ["ftp"], "from": ["workbench"], **accept("x", "least-privilege")}
    assert [item[3] for item in found(other, web=wide) if item[2] == subject] == ["Fits no finding. Delete it."]


@pytest.mark.parametrize("rule", ["closed-by-broad", "least-privilege"])
def test_advice_about_the_place_of_an_acceptance_can_be_followed(rule: str) -> None:
    spare = {"ports": ["1-65535/tcp"], "broad": rule == "closed-by-broad"}
    nfs = {"from": ["workbench"], "to": ["workbench"], "services": ["nfs"], "need": "recommended", "enabled": False}
    flow = {"from": ["lan"], "to": ["workbench"], "services": ["spare"], "need": "recommended", **accept("x", rule)}

    def unused(flow: dict[str, Any], spare: dict[str, Any]) -> list[str]:
        site = {
            "services": {"nfs": {"ports": ["2049/tcp"]}, "spare": spare},
            "endpoints": {"lan": {"cidrs": ["10.0.0.0/16"]}},
            "flows": {"f": flow, "nfs": {**nfs, "from": ["lan"]}},
        }
        return [item.message for item in findings(make_plan(site, HOSTS), TODAY) if item.rule == UNUSED]

    assert unused(flow, spare) == [
        "Fits no finding of this flow: the finding is about service spare. Write it into "
        "firewall_services.spare.accept."
    ]
    assert unused({**flow, "accept": {}}, spare | accept("x", rule)) == []


# ---- Acceptances that no flow or service can have -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ("udp-by-address", "all flows together"),
        ("empty-endpoint", "an endpoint"),
        ("host-in-network", "an endpoint"),
        ("empty-cluster", "a cluster"),
        ("similar-group", "a group of the inventory"),
        ("unknown-variable", "a variable"),
        ("ssh-port", "a host"),
    ],
)
def test_an_acceptance_of_a_rule_about_something_else(rule: str, about: str) -> None:
    text = f"Findings of {rule} are about {about}, so no flow or service can accept them. Delete it."
    items = found(accept("x", rule), web=accept("x", rule))
    assert [item[1:] for item in items if item[0] == UNUSED] == [
        ("warning", f"firewall_flows.f.accept.{rule}", text),
        ("warning", f"firewall_services.web.accept.{rule}", text),
    ]


def test_no_finding_of_such_a_rule_is_about_a_flow_or_a_service() -> None:
    """The rules name the subject in their sources."""
    sources = [path.read_text(encoding="utf-8") for path in Path(rules.__file__).parent.glob("*.py")]
    # The rule, its severity and its subject.
    subjects = re.findall(r'Finding\(\s*"([a-z-]+)",\s*.*,\n?\s*(.+?)[,\n]', "".join(sources))
    assert set(NOT_ACCEPTED) < set(dict(subjects)) <= set(rules.DESCRIPTIONS)
    for rule, subject in subjects:
        if rule in NOT_ACCEPTED:
            assert not re.search(r"flow_key|firewall_flows\.|firewall_services\.", subject), rule
        else:
            assert not re.search(r"hosts_text|firewall_endpoints|firewall_clusters|^f.(group|variable) ", subject), rule


@given(SITES)
def test_findings_of_these_rules_are_about_something_else(site: Site) -> None:
    for finding in findings(site.plan(), TODAY):
        if finding.rule in NOT_ACCEPTED:
            assert not finding.subject.startswith(("firewall_flows.", "firewall_services."))


def test_the_first_of_two_equal_flows_does_not_accept_the_finding_about_the_other() -> None:
    flow = {"from": ["workbench"], "to": ["workbench"], "services": ["ssh"], "need": "recommended"}

    def unused(**accepting: dict[str, Any]) -> list[tuple[str, str]]:
        flows = {name: {**flow, **accepting.get(name, {})} for name in ("a", "b", "c")}
        flows["d"] = {**flow, "within_cluster": True, **accepting.get("d", {})}
        items = findings(make_plan({"flows": flows}, HOSTS), TODAY)
        return [(item.subject, item.message) for item in items if item.rule == UNUSED]

    both = accept("two owners", "duplicate-flow")
    subject = "firewall_flows.{}.accept.duplicate-flow"
    assert unused(a=both) == [
        (
            subject.format("a"),
            "Fits no finding of this flow: the findings are about flows b, c. Write it into firewall_flows.b.accept "
            "and firewall_flows.c.accept.",
        )
    ]
    assert unused(a=both, b=both) == [
        (
            subject.format("a"),
            "Fits no finding of this flow: the finding is about flow c. Write it into firewall_flows.c.accept.",
        )
    ]
    assert unused(b=both, c=both) == []
    assert unused(a=both, b=both, c=both) == [(subject.format("a"), "Fits no finding. Delete it.")]
    assert unused(d=both) == [(subject.format("d"), "Fits no finding. Delete it.")]
