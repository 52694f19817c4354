# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the JSON schema of the port file for editors, docs/port_file.schema.json; then read `git diff`.

The variables and their descriptions come from the role firewall, the keys of entries from the plan, their descriptions
from docs/port-file.md, and the names of entries from the shipped port file. What the schema refuses, the plan refuses.

Run it as: PYTHONPATH=.collections python -m ansible_collections.hpc.ports.tests.support.port_file_schema
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import DESCRIPTIONS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import (
    EXPOSURES,
    KEYS,
    NEEDS,
    REQUIRED,
    SECTIONS,
    SWITCHES,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import PORT_FILE
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import (
    HOST_DEFAULTS,
    PREFIX,
    SETTINGS,
    SITE_DEFAULTS,
)
from ansible_collections.hpc.ports.tests.support import schema_patterns as patterns
from ansible_collections.hpc.ports.tests.support.schema_values import (
    Schema,
    any_text,
    boolean,
    choice,
    described,
    dictionary,
    list_of,
    no_others,
    nullable,
    ref,
    text,
)

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "port_file.schema.json"
PAGE = ROOT / "docs" / "port-file.md"
SPECS = ROOT / "roles" / "firewall" / "meta" / "argument_specs.yml"

# What an entry is called in the tables of the manual and in the definitions.
KINDS = {"firewall_services": "service", "firewall_endpoints": "endpoint", "firewall_flows": "flow"}
# Variables that only playbooks read.
OF_PLAYBOOKS = {
    "firewall_serial": "How many hosts get their firewall at a time, with -e: a number, a share, or a list of these.",
    "firewall_remove_hosts": "Hosts that have left all groups, with -e, for the playbook remove.yml.",
}
ABOUT = (
    "The port file and all other variables of hpc.ports, in files of group_vars and host_vars. What this schema "
    "refuses, a run refuses as well. A run checks more, such as the names in flows."
)
_UNKNOWN = "hpc.ports has no such variable. It may be a variable of another role."
_NETWORK = "a network such as '10.20.0.0/16' or 'fd00:20::/64'"
_ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def schema() -> Schema:
    """Return the whole schema."""
    unknown = f"^{PREFIX}(?!(?:{'|'.join(name.removeprefix(PREFIX) for name in SETTINGS)})$)"
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Variables of hpc.ports",
        "description": ABOUT,
        "properties": _variables(),
        "patternProperties": {unknown: {"deprecationMessage": _UNKNOWN}},
        "definitions": _definitions(),
    }


def written() -> str:
    """Return the text of the file."""
    return f"{_lines(schema(), '')}\n"


def _lines(value: Any, indent: str) -> str:
    """Return a value as JSON, on one line if it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent + line) <= 120 or not isinstance(value, (dict, list)):
        return line
    deeper, ends = f"{indent} ", "[]" if isinstance(value, list) else "{}"
    if isinstance(value, list):
        members = [_lines(member, deeper) for member in value]
    else:
        members = [f"{json.dumps(key)}: {_lines(member, deeper)}" for key, member in value.items()]
    return f"{ends[0]}\n{deeper}" + f",\n{deeper}".join(members) + f"\n{indent}{ends[1]}"


def meanings(kind: str) -> dict[str, str]:
    """Return what each key of a kind of entry means, from its table in the manual."""
    page = PAGE.read_text(encoding="utf-8")
    table = re.search(rf"^\| key of an? {kind} \|.*?\n\n", page, re.MULTILINE | re.DOTALL)
    return {key: _plain(cell) for key, cell in _ROW.findall(table[0])} if table else {}


def _plain(cell: str) -> str:
    """Return the text of a cell as a sentence, without links."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).replace("`", "").rstrip(".")
    # A literal value such as `true` stays as it is.
    return f"{words if cell[0] == '`' else words[0].upper() + words[1:]}."


@cache
def _shipped() -> dict[str, dict[str, dict[str, Any]]]:
    return yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))


def _variables() -> dict[str, Schema]:
    """Return the schema of each variable, with its description from the role."""
    options = yaml.safe_load(SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    forms = _forms()
    values = {name: forms.get(name) or _by_option(name, option) for name, option in options.items()}
    descriptions = {name: _about(option["description"]) for name, option in options.items()}
    return {name: described({**OF_PLAYBOOKS, **descriptions}[name], values.get(name, {})) for name in SETTINGS}


def _about(description: str | list[str]) -> str:
    """Return a description without Ansible's markup."""
    lines = [description] if isinstance(description, str) else description
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", " ".join(lines))


def _forms() -> dict[str, Schema]:
    """Return the schemas of the variables whose option in the role does not say their form."""
    addresses = list_of(any_text(), "addresses or names")
    interfaces = list_of(ref("interface"), "interface names")
    port_range = text(patterns.PORT_RANGE, "a port range FIRST-LAST within 1-65535, such as '60001-63000'")
    cluster = {"type": "string", "minLength": 1, "errorMessage": "Expected the name of a cluster."}
    clusters = {"type": ["string", "array"], "items": cluster, "minItems": 1}
    return {
        **{section: _section(section) for section in SECTIONS},
        "firewall_clusters": dictionary({}, ref("cluster")),
        "firewall_cluster": {
            **cluster,
            **clusters,
            "errorMessage": "Expected the name of a cluster, or a list of them.",
        },
        "firewall_isolated_networks": list_of(ref("network"), "networks"),
        **dict.fromkeys(("firewall_srun_ports", "firewall_user_ports", "firewall_ephemeral_ports"), port_range),
        **{name: addresses for name in HOST_DEFAULTS if name.endswith("_addresses")},
        **{name: interfaces for name in HOST_DEFAULTS if name.endswith(("_interfaces", "_containers"))},
    }


def _by_option(name: str, option: dict[str, Any]) -> Schema:
    """Return the schema of a variable by its type. The role itself converts the variables that only it reads."""
    if "choices" in option:
        return {**choice(option["choices"]), "default": option["default"]}
    if option["type"] == "bool":
        words = {} if name in SITE_DEFAULTS else _switch_of_the_role()
        return {**boolean(), **words, "default": option["default"]}
    if option["type"] == "int":
        # Ansible also converts strings such as " 30 " and "3e1".
        number = text(r"[-+_.eE\d\s]*\d[-+_.eE\d\s]*", "a whole number")
        return {**number, "type": ["integer", "string"], "default": option["default"]}
    return {}


def _switch_of_the_role() -> Schema:
    return {**text(patterns.SWITCH_OF_A_ROLE, "true or false"), "type": ["boolean", "string", "number"]}


def _section(name: str) -> Schema:
    """Return the schema of one of the three dictionaries: shipped entries, and entries of the site's own."""
    kind = KINDS[name]
    shipped = {entry: described(_titled(value), ref(kind)) for entry, value in _shipped()[name].items()}
    names = {"pattern": patterns.NAME_ONLY, "errorMessage": "Expected a name of a-z, 0-9 and _, with a letter first."}
    return {**dictionary(shipped, ref(f"new_{kind}")), "propertyNames": names}


def _titled(value: dict[str, Any]) -> str:
    """Return what a shipped entry is: its title, and its ports, or from where to where the flow goes."""
    if "from" in value:
        ends = [", ".join(value[key]) for key in ("from", "to", "services")]
        return f"{value['title']}. From {ends[0]} to {ends[1]}: {ends[2]}. {value['need'].title()}."
    return f"{value['title']}. {', '.join(value.get('ports', []))}".rstrip(" .") + "."


def _definitions() -> dict[str, Schema]:
    cidrs = list_of(text(patterns.CLUSTER_NETWORK, f"{_NETWORK}, no wider than /8 or /16"), "networks")
    rules = {rule: described(_plain(meaning), ref("acceptance")) for rule, meaning in DESCRIPTIONS.items()}
    return {
        "ports": text(patterns.PORTS, "PORT/PROTOCOL or FIRST-LAST/PROTOCOL, such as '22/tcp' or '8192-60000/tcp'"),
        "network": text(patterns.NETWORK, _NETWORK),
        "interface": text(patterns.INTERFACE, "an interface name of up to 15 characters, such as 'ib0' or 'cni*'"),
        "side": any_text(dict.fromkeys((*_shipped()["firewall_endpoints"], *CANONICAL_GROUPS))),
        "group": any_text(CANONICAL_GROUPS),
        "day": nullable(text(patterns.DAY, "a date such as 2027-06-30")),
        "acceptance": _acceptance(),
        "accept": nullable(dictionary(rules, ref("acceptance"))),
        "cluster": dictionary({"cidrs": described("Networks of nodes of the cluster.", cidrs)}, False, ["cidrs"]),
        **{KINDS[section]: nullable(_entry(section, ())) for section in SECTIONS},
        **{f"new_{KINDS[section]}": _entry(section, REQUIRED[section]) for section in SECTIONS},
    }


def _acceptance() -> Schema:
    reason = text(patterns.NOT_BLANK, "a reason, such as 'jump host, hardened, reviewed'")
    keys = {"reason": reason, "review_by": ref("day")}
    properties = {key: described(meaning, keys[key]) for key, meaning in meanings("acceptance").items()}
    texts = {"pattern": reason["pattern"], "patternErrorMessage": reason["errorMessage"]}
    return nullable({**dictionary(properties, no_others(properties), ["reason"]), **texts})


def _entry(section: str, required: tuple[str, ...]) -> Schema:
    """Return the schema of an entry. Null takes away each key of a shipped entry that is not `required`."""
    keys, about = _keys(section), meanings(KINDS[section])
    properties = {
        key: described(about[key], keys[key] if key in required else nullable(keys[key])) for key in KEYS[section]
    }
    return dictionary(properties, no_others(properties), required)


def _keys(section: str) -> dict[str, Schema]:
    networks = list_of(ref("network"), "networks")
    groups = list_of(ref("group"), "group names")
    side = list_of(ref("side"), "endpoints", may_be_empty=False)
    service = text(patterns.NAME, "the name of a service from firewall_services", _shipped()["firewall_services"])
    return {
        "firewall_services": {
            "ports": list_of(ref("ports"), "ports", may_be_empty=False),
            "exposure": choice(EXPOSURES),
            "broad": boolean(),
            "unit": text(patterns.UNIT_NAME, "a systemd unit such as 'slurmctld.service'"),
        },
        "firewall_endpoints": {
            "groups": groups,
            "fallback_groups": groups,
            "cidrs": networks,
            "hostnames": list_of(text(patterns.HOST, "a host name such as 'node1.example.org'"), "host names"),
            "except": networks,
        },
        "firewall_flows": {
            "from": side,
            "to": side,
            "services": list_of(service, "services", may_be_empty=False),
            "within_cluster": boolean(),
            "need": choice(NEEDS),
            "enabled": boolean(),
            "reference": list_of(any_text(), "references"),
            "note": any_text(),
            "review_by": ref("day"),
            "unless": choice(("", *SWITCHES)),
        },
    }[section] | {"title": any_text(), "accept": ref("accept")}


def main() -> None:
    """Write the file."""
    FILE.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
