# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON schema of the port file, for editors: what it refuses, the plan refuses, and it catches usual mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file import validators
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import KEYS, UNIT, load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import load_inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import shipped_port_file
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import (
    HOST_DEFAULTS,
    SETTINGS,
    SITE_DEFAULTS,
    unknown_variables,
)
from ansible_collections.hpc.ports.tests.support import port_file_schema
from ansible_collections.hpc.ports.tests.support.plays import ROOT
from ansible_collections.hpc.ports.tests.support.random_sites import GROUPS, SITES, Site
from ansible_collections.hpc.ports.tests.support.schema_patterns import numbers
from ansible_collections.hpc.ports.tests.support.sites import make_catalogue
from hypothesis import example, given
from hypothesis import strategies as st

SCHEMA = json.loads(port_file_schema.FILE.read_text(encoding="utf-8"))
CHECK = jsonschema.Draft7Validator(SCHEMA)
OPTIONS = yaml.safe_load(port_file_schema.SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
# What only the role reads.
OF_THE_ROLE = {
    name: {key: value for key, value in option.items() if key != "description"}
    for name, option in OPTIONS.items()
    if name not in {**SITE_DEFAULTS, **HOST_DEFAULTS}
}


def in_an_editor(value: Any) -> Any:
    """Return a value as an editor reads it: a date is a string."""
    return json.loads(json.dumps(value, default=str))


def accepts(variables: dict[str, Any]) -> bool:
    return CHECK.is_valid(in_an_editor(variables))


def error_of_the_plan(variables: dict[str, Any]) -> str:
    """Return the error of the plan of one host with these variables, or of the role, empty without one."""
    try:
        load_catalogue(shipped_port_file(), variables, [*GROUPS, "absent"])
        load_inventory({"all": ["h1"]}, lambda _host: variables)
    except PortFileError as exc:
        return str(exc)
    # Ansible takes true for the number 1.
    if isinstance(variables.get("firewall_confirm_within"), bool):
        return "Not a number."
    own = {name: value for name, value in variables.items() if name in OF_THE_ROLE}
    return " ".join(ArgumentSpecValidator(OF_THE_ROLE).validate(own).error_messages)


def variables_of(site: Site) -> dict[str, Any]:
    """Return the variables that a random site has for one of its hosts."""
    host = {f"firewall_{key}": value for key, value in site.hosts["h1"].items() if key != "groups"}
    return {
        "firewall_services": site.services,
        "firewall_endpoints": site.endpoints,
        "firewall_flows": site.flows,
        "firewall_clusters": site.clusters,
        "firewall_ssh_through_tunnel": site.tunnel,
        "firewall_broad_yields": site.yields,
        **host,
    }


# A site that uses each variable and each key.
WHOLE: dict[str, Any] = {
    "firewall_services": {
        "web": {
            "ports": ["443/tcp", "8000-9000/udp", "47/ip"],
            "title": "Web",
            "exposure": "public",
            "broad": True,
            "unit": r"web@a\x2db.service",
            "accept": {"exposure": {"reason": "reviewed", "review_by": "2027-06-30"}, "least-privilege": "reviewed"},
        },
        "everything": {"ports": ["any/ip"]},
        "slurmctld": {"ports": ["6817-6820/tcp"]},
        "dcv": {"accept": {"exposure": None}, "unit": None},
    },
    "firewall_endpoints": {
        "users": {
            "groups": ["desks"],
            "fallback_groups": ["workspace"],
            "cidrs": ["10.0.0.0/8", "fd00::/8", "192.0.2.1"],
            "hostnames": ["a.example.org"],
            "except": ["10.9.0.0/16"],
            "title": "Users",
        },
        "controllers": {"cidrs": ["192.0.2.1/32"], "title": None},
        "anywhere": {"cidrs": ["0.0.0.0/0", "::/0"]},
    },
    "firewall_flows": {
        "mine": {
            "from": ["users", "anywhere"],
            "to": ["desks"],
            "services": ["web", "ssh"],
            "need": "conditional",
            "within_cluster": False,
            "enabled": True,
            "title": "Users use the web",
            "reference": ["Page 1"],
            "note": "Decided.",
            "review_by": "2027-06-30",
            "unless": "firewall_ssh_through_tunnel",
            "accept": {"ssh-known-sources": "jump host, hardened"},
        },
        "nfs_v3": {"enabled": False},
        "admin_ssh": {"to": ["slurm_login"], "note": None, "unless": ""},
        "smtp": None,
    },
    "firewall_clusters": {"alpha": {"cidrs": ["10.20.0.0/16", "fe80::/10"]}},
    "firewall_shipped": True,
    "firewall_broad_yields": False,
    "firewall_ssh_through_tunnel": True,
    "firewall_isolated_networks": ["10.1.0.0/16"],
    "firewall_srun_ports": "60001-63000",
    "firewall_user_ports": "1024-65535",
    "firewall_addresses": ["10.0.0.1", "h1.example.org"],
    "firewall_source_addresses": [],
    "firewall_shared_addresses": ["10.0.0.1"],
    "firewall_cluster": ["alpha", "beta"],
    "firewall_egress": "restricted",
    "firewall_mode": "observe",
    "firewall_backend": "firewalld",
    "firewall_trusted_interfaces": ["ib0", "cni*"],
    "firewall_container_interfaces": [],
    "firewall_filtered_containers": ["br-*"],
    "firewall_ephemeral_ports": "32768-60999",
    "firewall_state": "present",
    "firewall_confirm_within": 60,
    "firewall_lockout_guard": True,
    "firewall_cut_established": False,
    "firewall_watch": "yes",
    "firewall_boot_failure": "closed",
    "firewall_without": [],
    "firewall_port_needs": {},
    "firewall_serial": "10%",
    "firewall_remove_hosts": ["old1"],
}


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema of a schema with its path."""
    if isinstance(schema, dict):
        yield path, schema
    members = enumerate(schema) if isinstance(schema, list) else schema.items() if isinstance(schema, dict) else ()
    for name, member in members:
        yield from parts(member, f"{path}/{name}")


def test_the_file_is_as_the_generator_writes_it() -> None:
    is_equal = port_file_schema.FILE.read_text(encoding="utf-8") == port_file_schema.written()
    assert is_equal, str(port_file_schema.__doc__).splitlines()[-1]


def test_it_is_a_schema_and_describes_every_variable_and_key() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert tuple(SCHEMA["properties"]) == SETTINGS
    keys = [item for path, part in parts(SCHEMA) for item in part.items() if path.endswith("/properties")]
    assert [name for name, part in keys if not part["description"].endswith(".")] == []
    assert [name for name, part in keys if re.search(r"[`|]|\]\(|\b[A-Z]\(", part["description"])] == []


@pytest.mark.parametrize("section", KEYS)
def test_the_manual_has_each_key_of_an_entry(section: str) -> None:
    assert sorted(port_file_schema.meanings(port_file_schema.KINDS[section])) == sorted(KEYS[section])


def test_its_patterns_are_read_alike_by_python_and_by_editors() -> None:
    found = [part["pattern"] for _path, part in parts(SCHEMA) if isinstance(part.get("pattern"), str)]
    assert [pattern for pattern in found if re.search(r"\\[AZz]|\(\?(P|[aiLmsux]|<)|[*+?}]\+", pattern)] == []
    assert len(found) > 30


@pytest.mark.parametrize("low,high", [(1, 65535), (0, 255), (8, 32), (10, 128), (0, 0), (3, 12), (59, 254)])
def test_a_pattern_of_numbers(low: int, high: int) -> None:
    pattern = re.compile(numbers(low, high))
    assert [number for number in range(70000) if pattern.fullmatch(str(number))] == list(range(low, high + 1))


# Sites that the plan accepts.


def test_it_accepts_each_variable_and_each_key() -> None:
    assert set(WHOLE) == set(SETTINGS)
    entries = {section: {key for entry in WHOLE[section].values() for key in entry or ()} for section in KEYS}
    assert entries == {section: set(keys) for section, keys in KEYS.items()}
    assert (error_of_the_plan(WHOLE), list(CHECK.iter_errors(WHOLE))) == ("", [])


def test_it_accepts_the_shipped_port_file() -> None:
    assert list(CHECK.iter_errors(in_an_editor(shipped_port_file()))) == []


FILES = sorted(
    path
    for folder in ("group_vars", "host_vars")
    for path in ROOT.glob(f"[ie]*/**/{folder}/**/*.yml")
    if path.is_file()
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_accepts_the_files_of_the_examples(path: Path) -> None:
    assert list(CHECK.iter_errors(in_an_editor(yaml.safe_load(path.read_text(encoding="utf-8"))))) == []


def test_it_accepts_the_examples_of_the_manual() -> None:
    pages = [page.read_text(encoding="utf-8") for page in ROOT.glob("**/*.md")]
    blocks = [text for page in pages for text in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    values = [yaml.safe_load(text) for text in blocks if re.search(r"^firewall_", text, re.MULTILINE)]
    assert len(values) > 10
    assert [error.message for value in values for error in CHECK.iter_errors(in_an_editor(value))] == []


@given(SITES)
def test_it_accepts_random_sites(site: Site) -> None:
    variables = variables_of(site)
    assert error_of_the_plan(variables) or list(CHECK.iter_errors(variables)) == []


@pytest.mark.parametrize("written", ["{{ x }}", "{% if a %}b{% endif %}", "$ANSIBLE_VAULT;1.1;AES256\n6162\n"])
def test_a_template_or_a_value_from_the_vault_may_stand_for_each_value(written: str) -> None:
    for path in paths(WHOLE):
        assert accepts(replaced(WHOLE, path, written)), path


@pytest.mark.parametrize("section", KEYS)
def test_null_takes_away_each_shipped_entry_and_each_key_of_one(section: str) -> None:
    names = list(shipped_port_file()[section])
    refused = [name for name in names if not accepts({section: {name: None}})]
    assert refused + [key for key in KEYS[section] if not accepts({section: {names[0]: {key: None}}})] == []


def test_other_variables_are_not_its_business() -> None:
    assert accepts({"slurm_pin_daemon_ports": "maybe", "firewalld_zones": 1, "firewall_of_another_role": [1]})


def test_an_editor_warns_of_unknown_variables_as_lint_does() -> None:
    [pattern] = SCHEMA["patternProperties"]
    names = [*SETTINGS, "firewall_flow", "firewall_flows2", "xfirewall_flow", "firewalld_zones", "firewall_"]
    assert tuple(sorted(name for name in names if re.search(pattern, name))) == unknown_variables(names)


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_words_that_only_ansible_reads_as_booleans(word: str) -> None:
    """Editors read YAML 1.2, in which `yes` is a string."""
    assert isinstance(yaml.safe_load(word), bool)
    assert accepts({"firewall_shipped": word, "firewall_watch": word})


# What the schema refuses, the plan refuses.

Where = tuple[Any, ...]


def paths(value: Any, path: Where = ()) -> Iterator[Where]:
    """Yield the path to each value inside a value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from paths(member, (*path, key))


def at(value: Any, path: Where) -> Any:
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, path: Where, new: Any) -> Any:
    result = deepcopy(value)
    at(result, path[:-1])[path[-1]] = new
    return result


PORTS = st.builds(
    "{}{}/{}".format,
    st.sampled_from(["1", "22", "022", "0", "65535", "65536", "6", "2", "47", "255", "256"]),
    st.sampled_from(["", "", "-23", "-22", "-65535", "-5", "-47", "-"]),
    st.sampled_from(["tcp", "udp", "ip", "TCP", "icmp"]),
)
TEXTS = (
    *("", "any/ip", "22", "ssh", "22/tcp ", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.1", "0.0.0.0/0", "::/0", "fe80::/10"),
    *("fe80::/9", "10.0.0.0/33", "fd00::/129", "head", "required", "public", "anywhere", "desks", "a.example.org"),
    *("cni*", "an-interface-that-is-long", "2027-06-30", "20270630", "2027-13-01", "1024-2000", "2000-1024", "yes"),
    *("restricted", "open", "observe", "absent", "firewall_ssh_through_tunnel", "nginx.service", "a b", " ", "-a"),
)
PLAIN = st.one_of(st.sampled_from(TEXTS), PORTS, st.sampled_from([None, True, False, 0, 1, 22, 1.5]))
KEY_WORDS = st.sampled_from(
    [*{key for keys in KEYS.values() for key in keys}, "form", "cidr", "ssh", "nfs_v3", "anywhere", "Upper", "reason"]
)
VALUES = st.recursive(
    PLAIN,
    lambda values: st.one_of(st.lists(values, max_size=2), st.dictionaries(KEY_WORDS, values, max_size=2)),
    max_leaves=3,
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Return the variables of a site that the plan accepts, with one or two changes at random."""
    result = deepcopy(draw(st.one_of(st.just(WHOLE), SITES.map(variables_of))))
    for _change in range(draw(st.sampled_from([1, 1, 1, 2]))):
        path = draw(st.sampled_from(list(paths(result))))
        parent, key = at(result, path[:-1]), path[-1]
        how = draw(st.sampled_from(["replace", "replace", "move", "remove", "rename", "add"]))
        if how == "replace":
            parent[key] = draw(VALUES)
        elif how == "move":
            parent[key] = deepcopy(at(result, draw(st.sampled_from(list(paths(result))))))
        elif how == "remove":
            del parent[key]
        elif isinstance(parent, dict) and path[1:]:
            parent[draw(KEY_WORDS)] = parent.pop(key) if how == "rename" else draw(VALUES)
    return result


@given(mutated())
@example({"firewall_services": {"web": {"ports": ["22/tcp"], "form": None}}, "firewall_flows": {"smtp": None}})
def test_what_the_schema_refuses_the_plan_refuses(variables: dict[str, Any]) -> None:
    errors = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in CHECK.iter_errors(variables)]
    assert not errors or error_of_the_plan(variables), errors


def is_accepted(parse: Callable[[str, Any], Any], value: Any) -> bool:
    try:
        parse("key", value)
    except PortFileError:
        return False
    return True


def unit_of(key: str, value: str) -> None:
    if not UNIT.fullmatch(value):
        raise PortFileError(key)


NUMBERS = st.one_of(st.integers(0, 70000), st.integers(0, 260), st.sampled_from([1, 2, 6, 17, 58, 65535])).map(str)
NUMBER = st.one_of(NUMBERS, NUMBERS.map("0{}".format))
RANGES = st.one_of(NUMBER, st.builds("{}-{}".format, NUMBER, NUMBER))
ADDRESSES = st.one_of(st.ip_addresses().map(str), st.from_regex(r"[0-9a-f:.]{2,12}", fullmatch=True))
NETWORKS = st.one_of(ADDRESSES, st.builds("{}/{}".format, ADDRESSES, NUMBER), st.ip_addresses().map("{}/0".format))
WIDE = st.sampled_from(["0.0.0.0", "10.0.0.0", "::", "fe80::", "fc00::"])
ZEROS = st.builds("{}/{}".format, WIDE, st.sampled_from([0, 6, 7, 8, 9, 10, 11, 15, 16, 17, 32]))
DAYS = st.one_of(st.dates().map(str), st.from_regex(r"[0-9]{4}-?(W?[0-9]{2}-?)?[0-9]{1,2}", fullmatch=True))


@pytest.mark.parametrize(
    "schema,texts,parse",
    [
        ("ports", st.builds("{}/{}".format, RANGES, st.sampled_from(["tcp", "udp", "ip"])), validators.ports_of),
        ("network", st.one_of(NETWORKS, ZEROS), lambda key, text: validators.networks_of(key, [text])),
        (
            "cluster",
            st.one_of(NETWORKS, ZEROS),
            lambda _key, text: make_catalogue(firewall_clusters={"a": {"cidrs": [text]}}),
        ),
        (
            "interface",
            st.from_regex(r"[A-Za-z0-9_.:@/-]{1,16}\*?"),
            lambda key, text: validators.interface_patterns_of(key, [text]),
        ),
        (
            "host",
            st.from_regex(validators.HOST_NAME.pattern.replace(r"(?=.{1,253}\Z)", ""), fullmatch=True),
            validators.host_name_of,
        ),
        ("unit", st.from_regex(UNIT, fullmatch=True), unit_of),
        ("range", RANGES, validators.range_of),
        ("day", DAYS, validators.day_of),
    ],
)
def test_texts_that_the_plan_accepts(
    schema: str, texts: st.SearchStrategy[str], parse: Callable[[str, Any], Any]
) -> None:
    def in_a_site(text: str) -> dict[str, Any]:
        sites: dict[str, dict[str, Any]] = {
            "ports": {"firewall_services": {"x": {"ports": [text]}}},
            "network": {"firewall_endpoints": {"x": {"except": [text]}}},
            "cluster": {"firewall_clusters": {"x": {"cidrs": [text]}}},
            "interface": {"firewall_trusted_interfaces": [text]},
            "host": {"firewall_endpoints": {"x": {"hostnames": [text]}}},
            "unit": {"firewall_services": {"ssh": {"unit": text}}},
            "range": {"firewall_ephemeral_ports": text},
            "day": {"firewall_flows": {"nfs_v3": {"review_by": text}}},
        }
        return sites[schema]

    @given(texts)
    def check(text: str) -> None:
        accepted, by_plan = accepts(in_a_site(text)), is_accepted(parse, text)
        assert accepted or not by_plan
        # These are the same, but for ranges of IP protocols, which may contain an excluded one.
        if schema == "range" or schema == "ports" and not text.endswith("/ip"):
            assert accepted == by_plan

    check()


@given(
    st.one_of(
        DAYS,
        st.builds("{} {}".format, DAYS, st.times()),
        st.datetimes().map(str),
        st.datetimes().map(lambda day: day.isoformat() + "Z"),
    )
)
def test_days_without_quotes_are_days(text: str) -> None:
    """Ansible reads a date or a point in time, editors read a string."""
    try:
        value = yaml.safe_load(text)
    except ValueError:
        return
    accepted = accepts({"firewall_flows": {"nfs_v3": {"review_by": text}}})
    assert accepted or isinstance(value, int) or not is_accepted(validators.day_of, value)


# What the schema catches.

SERVICE = {"ports": ["22/tcp"]}
FLOW = {"from": ["desks"], "to": ["desks"], "services": ["ssh"], "need": "optional"}


@pytest.mark.parametrize(
    "variables,path",
    [
        ({"firewall_services": {"web": {"ports": [443]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["443"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["tcp/443"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["80,443/tcp"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["80:90/tcp"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["90-80/tcp"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["10000-9000/tcp"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["65536/tcp"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["0/udp"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["gre/ip"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": ["6/ip"]}}}, "firewall_services.web.ports.0"),
        ({"firewall_services": {"web": {"ports": "443/tcp"}}}, "firewall_services.web.ports"),
        ({"firewall_services": {"web": {"ports": []}}}, "firewall_services.web.ports"),
        ({"firewall_services": {"web": {"ports": None}}}, "firewall_services.web.ports"),
        ({"firewall_services": {"web": ["443/tcp"]}}, "firewall_services.web"),
        ({"firewall_services": {"ssh": {"port": ["443/tcp"]}}}, "firewall_services.ssh.port"),
        ({"firewall_services": {"web": None}}, "firewall_services.web"),
        ({"firewall_services": {"Web": SERVICE}}, "firewall_services"),
        ({"firewall_services": {"web-1": SERVICE}}, "firewall_services"),
        ({"firewall_services": {"web": {**SERVICE, "exposure": "internal"}}}, "firewall_services.web.exposure"),
        ({"firewall_services": {"web": {**SERVICE, "unit": "a b"}}}, "firewall_services.web.unit"),
        ({"firewall_services": {"web": {**SERVICE, "accept": ["exposure"]}}}, "firewall_services.web.accept"),
        ({"firewall_services": {"ssh": {"accept": {"exposure": ""}}}}, "firewall_services.ssh.accept.exposure"),
        ({"firewall_services": None}, "firewall_services"),
        ({"firewall_endpoints": {"users": {"cidr": ["10.0.0.0/8"]}}}, "firewall_endpoints.users.cidr"),
        ({"firewall_endpoints": {"users": {"cidrs": "10.0.0.0/8"}}}, "firewall_endpoints.users.cidrs"),
        ({"firewall_endpoints": {"users": {"cidrs": ["head"]}}}, "firewall_endpoints.users.cidrs.0"),
        ({"firewall_endpoints": {"users": {"cidrs": ["10.0.0.0/33"]}}}, "firewall_endpoints.users.cidrs.0"),
        ({"firewall_endpoints": {"users": {"cidrs": ["10.0.0/24"]}}}, "firewall_endpoints.users.cidrs.0"),
        ({"firewall_endpoints": {"users": {"cidrs": ["10.0.0.256"]}}}, "firewall_endpoints.users.cidrs.0"),
        ({"firewall_endpoints": {"users": {"cidrs": ["10.0.0.1-10.0.0.9"]}}}, "firewall_endpoints.users.cidrs.0"),
        ({"firewall_endpoints": {"users": {"except": ["10.0.0.0/255.0.0.0"]}}}, "firewall_endpoints.users.except.0"),
        ({"firewall_endpoints": {"users": {"groups": "desks"}}}, "firewall_endpoints.users.groups"),
        ({"firewall_endpoints": {"users": {"hostnames": ["a_b"]}}}, "firewall_endpoints.users.hostnames.0"),
        ({"firewall_flows": {"nfsv3": {"enabled": False}}}, "firewall_flows.nfsv3"),
        ({"firewall_flows": {"nfs_v3": {"enable": False}}}, "firewall_flows.nfs_v3.enable"),
        ({"firewall_flows": {"nfs_v3": {"enabled": "flase"}}}, "firewall_flows.nfs_v3.enabled"),
        ({"firewall_flows": {"x": {"form": ["desks"], **FLOW}}}, "firewall_flows.x.form"),
        ({"firewall_flows": {"x": {**FLOW, "need": "requird"}}}, "firewall_flows.x.need"),
        ({"firewall_flows": {"x": {**FLOW, "to": "desks"}}}, "firewall_flows.x.to"),
        ({"firewall_flows": {"x": {**FLOW, "from": []}}}, "firewall_flows.x.from"),
        ({"firewall_flows": {"x": {**FLOW, "from": [{"cidrs": ["10.0.0.0/8"]}]}}}, "firewall_flows.x.from.0"),
        ({"firewall_flows": {"x": {**FLOW, "services": ["22/tcp"]}}}, "firewall_flows.x.services.0"),
        ({"firewall_flows": {"x": {**FLOW, "services": [22]}}}, "firewall_flows.x.services.0"),
        ({"firewall_flows": {"x": {**FLOW, "ports": ["22/tcp"]}}}, "firewall_flows.x.ports"),
        ({"firewall_flows": {"x": {**FLOW, "review_by": "30.06.2027"}}}, "firewall_flows.x.review_by"),
        ({"firewall_flows": {"x": {**FLOW, "unless": "tunnel"}}}, "firewall_flows.x.unless"),
        ({"firewall_flows": {"x": {**FLOW, "title": 1}}}, "firewall_flows.x.title"),
        ({"firewall_flows": {"x": {**FLOW, "reference": "Page 1"}}}, "firewall_flows.x.reference"),
        (
            {"firewall_flows": {"x": {**FLOW, "accept": {"exposure": {"review_by": None}}}}},
            "firewall_flows.x.accept.exposure",
        ),
        ({"firewall_clusters": {"alpha": ["10.0.0.0/8"]}}, "firewall_clusters.alpha"),
        ({"firewall_clusters": {"alpha": {}}}, "firewall_clusters.alpha"),
        ({"firewall_clusters": {"alpha": {"cidrs": ["0.0.0.0/0"]}}}, "firewall_clusters.alpha.cidrs.0"),
        ({"firewall_clusters": {"alpha": {"cidrs": ["::/0"]}}}, "firewall_clusters.alpha.cidrs.0"),
        ({"firewall_shipped": 0}, "firewall_shipped"),
        ({"firewall_isolated_networks": "10.1.0.0/16"}, "firewall_isolated_networks"),
        ({"firewall_srun_ports": "60001"}, "firewall_srun_ports"),
        ({"firewall_srun_ports": "60001-63000/tcp"}, "firewall_srun_ports"),
        ({"firewall_user_ports": "65535-1024"}, "firewall_user_ports"),
        ({"firewall_addresses": "10.0.0.1"}, "firewall_addresses"),
        ({"firewall_cluster": []}, "firewall_cluster"),
        ({"firewall_egress": "closed"}, "firewall_egress"),
        ({"firewall_mode": True}, "firewall_mode"),
        ({"firewall_backend": "iptables"}, "firewall_backend"),
        ({"firewall_trusted_interfaces": ["*"]}, "firewall_trusted_interfaces.0"),
        ({"firewall_state": "off"}, "firewall_state"),
        ({"firewall_watch": "maybe"}, "firewall_watch"),
        ({"firewall_confirm_within": "half a minute"}, "firewall_confirm_within"),
        ({"firewall_confirm_within": "30s"}, "firewall_confirm_within"),
        ({"firewall_confirm_within": 30.5}, "firewall_confirm_within"),
    ],
    ids=str,
)
def test_usual_mistakes_are_caught_where_they_are(variables: dict[str, Any], path: str) -> None:
    assert {".".join(map(str, error.path)) for error in CHECK.iter_errors(variables)} == {path}
    assert error_of_the_plan(variables)
