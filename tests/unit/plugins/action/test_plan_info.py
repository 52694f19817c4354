# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module plan_info, run by Ansible: real inventories and variables, no host."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.hpc.ports.tests.support.plays import played

HOSTS = {
    "control_plane": {"ctl1": {"ansible_host": "192.0.2.11"}},
    "slurm_controller": {"head": {"ansible_host": "192.0.2.21", "firewall_addresses": ["{{ ansible_host }}"]}},
    "slurm_compute": {"n1": {"ansible_host": "192.0.2.22"}, "n2": {"ansible_host": "192.0.2.23"}},
}
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
PLAY = """
- hosts: all
  gather_facts: false
  {keywords}
  tasks:
    - hpc.ports.plan_info:
      register: plan
      {task}
    - ansible.builtin.debug: {{msg: "KEY={{{{ plan.key }}}}"}}
"""


def run(
    folder: Path,
    *options: str,
    site: str = SITE,
    hosts: str = "",
    keywords: str = "",
    task: str = "",
    more: str = "",
    blocked: str = "",
    settings: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Return how `ansible-playbook` with one plan ended and what it printed, on one line."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(site, encoding="utf-8")
    groups = "".join(f"{group}: {{hosts: {members}}}\n" for group, members in HOSTS.items())
    (folder / "hosts.yml").write_text(groups + hosts, encoding="utf-8")
    (folder / "play.yml").write_text(PLAY.format(keywords=keywords, task=task) + more, encoding="utf-8")
    environment = dict(settings or {})
    if blocked:
        (folder / f"{blocked}.py").write_text(f"raise ImportError('No module', name={blocked!r})", encoding="utf-8")
        environment = {"PYTHONPATH": str(folder)}
    done = played(
        "-i", str(folder / "hosts.yml"), str(folder / "play.yml"), *options, real=bool(blocked), **environment
    )
    return done.code, done.line


@pytest.mark.parametrize("keywords", ["", "strategy: free", "serial: 1"])
def test_every_host_gets_a_key(tmp_path: Path, keywords: str) -> None:
    code, output = run(tmp_path, keywords=keywords)
    assert code == 0, output
    keys = re.findall(r'"KEY=(\w+)"', output)
    assert len(keys) == 4
    # One plan for each batch: with serial, each host is its own batch.
    assert len(set(keys)) == (4 if keywords == "serial: 1" else 1)


def test_a_note_causes_no_warning(tmp_path: Path) -> None:
    """This port file causes one note and nothing else."""
    site = (
        SITE
        + """
firewall_endpoints: {controllers: {cidrs: [192.0.2.5/32]}, desks: {cidrs: [10.8.0.0/16]}}
firewall_services: {probe: {ports: [9/udp], exposure: platform}}
firewall_flows: {probe: {from: [desks], to: [control_plane], services: [probe], need: recommended, title: Probe}}
"""
    )
    code, output = run(tmp_path, site=site)
    assert code == 0, output
    assert "UDP" not in output


@pytest.mark.parametrize(
    ("options", "warned", "returned"),
    [("", True, False), ("{warn: false}", False, False), ("{lint: true}", False, True)],
)
def test_findings_are_warnings_or_returned_or_neither(
    tmp_path: Path, options: str, warned: bool, returned: bool
) -> None:
    site = SITE + "\nfirewall_services: {probe: {ports: [9/udp]}}"
    play = f"""
- hosts: all
  gather_facts: false
  tasks:
    - hpc.ports.plan_info: {options}
      run_once: true
      register: plan
    - ansible.builtin.debug: {{msg: "{{{{ plan.findings is defined }}}}, {{{{ plan.managed }}}}"}}
      run_once: true
"""
    (tmp_path / "own.yml").write_text(play, encoding="utf-8")
    run(tmp_path, site=site)
    done = played("-i", str(tmp_path / "hosts.yml"), str(tmp_path / "own.yml"))
    assert done.code == 0, done.line
    assert ("firewall_services.probe: No flow uses this service" in done.line) is warned
    assert re.search(f'"{returned}, .*4 hosts get a firewall', done.line)


def test_limit_leaves_the_plan_whole(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--limit", "n1")
    assert code == 0, output
    assert len(re.findall(r'"KEY=(\w+)"', output)) == 1


def test_hosts_that_see_different_port_files_are_named(tmp_path: Path) -> None:
    code, output = run(tmp_path, hosts="odd: {hosts: {n2: {firewall_shipped: false}}}")
    assert code != 0
    assert (
        "Invalid firewall_shipped: hosts ctl1 and n2 have different values, expected one value for the whole "
        "inventory. Set it in group_vars/all."
    ) in output


def test_a_setting_of_the_play_is_refused(tmp_path: Path) -> None:
    code, output = run(tmp_path, keywords="vars: {firewall_mode: observe}")
    assert code != 0
    assert (
        "Invalid firewall_mode of this play for host ctl1: got 'observe', expected the value from the inventory, "
        "'enforce'. The plan covers all hosts and does not see variables of a single play. Set it in group_vars or "
        "host_vars, or with -e."
    ) in output


def test_extra_variables_are_for_all_hosts(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-e", "firewall_mode=observe", "--limit", "n1")
    assert code == 0, output


def test_the_ssh_settings_come_from_variables_and_configuration(tmp_path: Path) -> None:
    """Templates are evaluated. Unlike in an address, a variable that only a play sets is no error."""
    odd = (
        "odd: {hosts: {n1: {odd: 22, ansible_port: '{{ odd + 200 }}'}, n2: {ansible_ssh_common_args: '-J {{ jump }}'}}}"
    )
    code, output = run(
        tmp_path,
        "--ssh-common-args=-J 192.0.2.21",
        "-e",
        "firewall_egress=restricted",
        "--limit",
        "ctl1",
        hosts=odd,
        settings={"ANSIBLE_REMOTE_PORT": "223"},
    )
    assert code == 0, output
    assert "host ctl1 and 2 more: Ansible connects to 223/tcp (ansible_port), " in output
    assert "host n1: Ansible connects to 222/tcp (ansible_port), " in output
    assert (
        "host ctl1 and 1 more: Does not accept ssh from jump host head (192.0.2.21), through which Ansible reaches it."
        in output
    )
    assert (
        "host n2: Cannot read ansible_ssh_common_args: got '-J {{ jump }}', a template that cannot be evaluated "
        "on the controller."
    ) in output


@pytest.mark.parametrize("library", ["netaddr", "jmespath"])
def test_missing_library_is_named(tmp_path: Path, library: str) -> None:
    code, output = run(tmp_path, blocked=library)
    assert code != 0
    assert (
        f"Missing Python library '{library}' on the controller: hpc.ports needs netaddr and jmespath in addition to "
        "ansible-core. Install them in the Python environment of ansible-playbook, for example: pip install netaddr "
        "jmespath"
    ) in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("firewall_endpoints: {}", "Invalid firewall_endpoints.controllers: got no address, "),
        (
            SITE + "\nfirewall_flows: {x: {form: [anywhere], to: [control_plane], services: [ssh], need: optional}}",
            "Invalid key in firewall_flows.x: got 'form', ",
        ),
    ],
)
def test_bad_input_is_one_message(tmp_path: Path, site: str, message: str) -> None:
    code, output = run(tmp_path, site=site, keywords="any_errors_fatal: true", task="run_once: true")
    assert code != 0
    assert message in output
    assert "Traceback" not in output


def test_the_action_group_gives_the_plan_to_modules(tmp_path: Path) -> None:
    block = f"""
    - module_defaults: {{group/hpc.ports.plan: {{plan: "{{{{ plan.key }}}}"}}}}
      block:
        - hpc.ports.render: {{folder: {tmp_path}/rulesets}}
          run_once: true
"""
    code, output = run(tmp_path, task="run_once: true", more=block)
    assert code == 0, output
    assert (tmp_path / "rulesets" / "classes.json").exists()


def test_a_plan_for_a_report_only_is_neither_applied_nor_written(tmp_path: Path) -> None:
    uses = f"""
    - hpc.ports.firewall: {{plan: "{{{{ plan.key }}}}"}}
      ignore_errors: true
      register: applied
    - hpc.ports.render: {{plan: "{{{{ plan.key }}}}", folder: {tmp_path}/rulesets}}
      run_once: true
      ignore_errors: true
      register: rendered
    - ansible.builtin.debug: {{msg: "APPLIED={{{{ applied.msg }}}} RENDERED={{{{ rendered.msg }}}}"}}
"""
    task = "args: {report_only: true}\n      run_once: true"
    code, output = run(tmp_path, site="firewall_endpoints: {}", task=task, more=uses)
    assert code == 0, output
    refused = "This plan is for a report only, because plan_info compiled it with report_only: true."
    assert f"APPLIED={refused}" in output and f"RENDERED={refused}" in output
    assert not (tmp_path / "rulesets").exists()


PASSWORD = "only for tests"
# Writes the rules of all classes of hosts.
RENDERED = (
    PLAY
    + """
    - hpc.ports.render: {{plan: "{{{{ plan.key }}}}", folder: "{{{{ render_folder }}}}", backends: [nftables]}}
      run_once: true
"""
)


class Vaulted(str):
    """A text that is encrypted in the file, each time with another result."""


def to_yaml(value: object, margin: str = "  ") -> str:
    """Return a value as YAML, to follow its key; vaulted texts are written with `!vault`."""
    if isinstance(value, Vaulted):
        cipher = VaultLib([("default", VaultSecret(PASSWORD.encode()))]).encrypt(str(value)).decode()
        return f" !vault |\n{margin}" + f"\n{margin}".join(cipher.strip().split("\n")) + "\n"
    if isinstance(value, dict) and value:
        return "\n" + "".join(f"{margin}{name}:{to_yaml(item, margin + '  ')}" for name, item in value.items())
    if isinstance(value, list) and value:
        return "\n" + "".join(f"{margin}-{to_yaml(item, margin + '  ')}" for item in value)
    return f" {json.dumps(value)}\n"


def run_vaulted(
    folder: Path, text: Callable[[str], str], *options: str, play: str = PLAY, **wrong: object
) -> tuple[int, str]:
    """Run a play for a site whose texts `text` may encrypt; each host has its own copy of the port file."""

    def port_file() -> dict[str, object]:
        return {
            "firewall_endpoints": {"controllers": {"cidrs": [text("192.0.2.1/32")]}},
            "firewall_services": {"web": {"ports": [text("81/tcp"), "444/tcp"], "title": text("Web")}},
            "firewall_flows": {
                "web": {
                    "from": ["controllers"],
                    "to": ["slurm_compute"],
                    "services": [text("web")],
                    "need": text("recommended"),
                }
            },
            "firewall_clusters": {"alpha": {"cidrs": [text("10.9.0.0/16")]}},
            "firewall_srun_ports": text("60001-63000"),
        }

    host = {
        "ansible_host": text("192.0.2.22"),
        "firewall_egress": text("restricted"),
        "firewall_cluster": text("alpha"),
        "secret": text("192.0.2.23"),
        "firewall_source_addresses": ["{{ secret }}"],
        **wrong,
    }
    inventory = {
        "slurm_compute": {"hosts": {"n1": {**port_file(), **host}}},
        "slurm_controller": {"hosts": {"head": {**port_file(), "firewall_addresses": [text("192.0.2.21")]}}},
    }
    (folder / "hosts.yml").write_text(to_yaml(inventory, ""), encoding="utf-8")
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    (folder / "play.yml").write_text(play.format(keywords="", task="run_once: true"), encoding="utf-8")
    done = played(
        "-i",
        str(folder / "hosts.yml"),
        str(folder / "play.yml"),
        "--vault-password-file",
        str(folder / "password"),
        *options,
    )
    return done.code, done.line


def test_encrypted_values_count_as_plain_ones(tmp_path: Path) -> None:
    """Addresses, ports, words and ranges. Each host has its own encryption of the same port file."""
    found = []
    for name, text in (("plain", str), ("vaulted", Vaulted)):
        (tmp_path / name).mkdir()
        rules = tmp_path / name / "rules"
        code, output = run_vaulted(
            tmp_path / name, text, "-e", f"render_folder={rules}", play=RENDERED, firewall_mode="enforce"
        )
        assert code == 0, output
        found.append(
            {path.relative_to(rules): path.read_text(encoding="utf-8") for path in rules.rglob("*") if path.is_file()}
        )
    assert found[0] == found[1]
    assert any("192.0.2.23" in text and "60001-63000" in text for text in found[0].values())


@pytest.mark.parametrize("wrong", ["firewall_mode", "firewall_egress", "firewall_srun_ports"])
def test_messages_do_not_show_encrypted_values(tmp_path: Path, wrong: str) -> None:
    """One host has another firewall_srun_ports than the others."""
    code, output = run_vaulted(tmp_path, Vaulted, **{wrong: Vaulted("hunter2")})
    assert code != 0
    assert f"Invalid {wrong}" in output
    assert "hunter2" not in output and "ANSIBLE_VAULT" not in output and "ciphertext" not in output


def test_an_encrypted_value_in_a_play_is_not_shown(tmp_path: Path) -> None:
    code, output = run_vaulted(
        tmp_path,
        Vaulted,
        play=PLAY.replace("{keywords}", "vars: {{firewall_mode: observe}}"),
        firewall_mode=Vaulted("enforce"),
    )
    assert code != 0
    assert "of this play for host " in output and "hunter2" not in output and "ANSIBLE_VAULT" not in output


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ nope }}", ""),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1 | nope }}", "nope"),
        ("{{ firewall_addresses }}", ""),
    ],
)
def test_a_failing_template_names_its_host_and_variable(tmp_path: Path, template: str, why: str) -> None:
    code, output = run(tmp_path, hosts=f"odd: {{hosts: {{n2: {{firewall_addresses: ['{template}']}}}}}}")
    assert code != 0
    assert "Invalid firewall_addresses of host n2: got " in output and why in output
    assert "Unexpected failure" not in output


def test_a_value_that_contains_itself_names_its_key(tmp_path: Path) -> None:
    code, output = run(tmp_path, site=SITE + "\nfirewall_services: &all {web: {ports: [1/tcp], title: *all}}")
    assert code != 0
    assert (
        "Invalid firewall_services of host ctl1: got a value at firewall_services.web.title.web that contains itself "
        in output
    )
    assert "RecursionError" not in output and "recursion" not in output
