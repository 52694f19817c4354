# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `firewall` on a host: a real kernel, a real nft, files in a copy of /etc."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import parsed
from ansible_collections.hpc.ports.tests.support.machine import (
    LINK,
    NO_FLOWS,
    OWN_ADDRESSES,
    RULESET,
    SYSTEMCTL,
    UNIT,
    Machine,
    systemctl_that_shows,
    without_invocation,
)
from ansible_collections.hpc.ports.tests.support.messages import KEPT
from ansible_collections.hpc.ports.tests.support.runs import Served
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, BY_NFT, KINDS, SAMPLE, SLURM, SSH, WEB, policy

# What a host may carry beside us: tables as Docker, kube-proxy and fail2ban make them, one with our chain names.
OTHER_TABLES = """
table ip nat {
    chain DOCKER { iifname "docker0" counter return; tcp dport 8080 counter dnat to 172.17.0.2:80; }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept; fib daddr type local counter jump DOCKER;
    }
}
table ip filter {
    chain DOCKER-USER { counter return; }
    chain FORWARD { type filter hook forward priority filter; policy drop; counter jump DOCKER-USER; }
    chain INPUT { type filter hook input priority filter; policy accept; }
}
table ip kube-proxy {
    map service-ips {
        type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.1 . tcp . 443 : drop };
    }
    chain services {
        type nat hook output priority -100; policy accept; ip daddr . meta l4proto . th dport vmap @service-ips;
    }
}
table inet f2b-table {
    set addr-set-sshd { type ipv4_addr; elements = { 203.0.113.7 }; }
    chain f2b-chain { type filter hook input priority -1; policy accept; tcp dport 22 ip saddr @addr-set-sshd reject; }
}
table inet filter {
    chain input { type filter hook input priority filter; policy accept; }
}
"""


# ---- first and second run


def test_the_first_run_adds_every_flow_and_the_second_does_nothing(machine: Served) -> None:
    """Run each module in a Python of its own, as on a host, for tests that need processes or rights of their own."""
    first = machine.started.apply()
    assert first["changed"] and first["backend"] == "nftables"
    assert first["changes"]["flows_added"] == ["in_management_ssh", "in_slurm_control", "in_web", "out_dns"]
    assert {"table", "chain input", "chain output", f"file {RULESET}", f"file {UNIT}", f"link {LINK}"} <= set(
        first["changes"]["objects"]
    )
    before = machine.generation(), machine.listing(), machine.inodes()
    second = machine.started.apply()
    assert without_invocation(second) == {
        "backend": "nftables",
        "changed": False,
        "changes": {**NO_FLOWS, "objects": []},
        "diff": {"before": "", "after": ""},
        "other_rules": {"dropping": [], "bypassing": [], "published": [], "translating": []},
        "ephemeral_ports": "32768-60999",
        "reserved_ports": "",
        "own_addresses": OWN_ADDRESSES,
    }
    assert (machine.generation(), machine.listing(), machine.inodes()) == before
    assert machine.systemctl_calls() == ["daemon-reload"]


def test_the_file_loads_what_runs_into_an_empty_and_a_full_table(machine: Machine) -> None:
    machine.apply()
    running = machine.objects()
    machine.host.shell("nft flush ruleset")
    for _repeat in range(2):
        machine.host.shell(f"nft -f {RULESET}")
        assert machine.objects() == running


def test_the_unit_loads_the_file_before_the_network(machine: Machine) -> None:
    machine.apply()
    lines = machine.host.shell(f"cat {UNIT}").splitlines()
    program = machine.host.shell("command -v nft").strip()
    assert f"ExecStart={program} -f {RULESET}" in lines
    assert {"DefaultDependencies=no", "Before=network-pre.target shutdown.target", "WantedBy=sysinit.target"} <= set(
        lines
    )
    assert machine.host.shell(f"readlink {LINK}").strip() == UNIT
    assert machine.host.shell(f"stat -c %a {RULESET} {UNIT}").split() == ["600", "644"]


def test_a_host_without_systemd_gets_the_file_only(machine: Machine) -> None:
    machine.host.shell("rmdir /run/systemd/system")
    machine.apply()
    assert machine.host.shell(f"ls {RULESET}; ls -d {UNIT} {LINK} 2>/dev/null || true").split() == [RULESET]
    assert not machine.apply()["changed"]


# ---- check mode and diff

STEPS: list[tuple[str, dict[str, Any] | None, dict[str, Any] | None]] = [
    ("first", None, SAMPLE),
    ("flow added and removed", SAMPLE, policy(SSH, SLURM, ("in", "nfs", ["2049/tcp"], ("10.64.0.0/24",)))),
    ("other ports", SAMPLE, policy(SSH, ("in", "slurm_control", ["6817/tcp", "112/ip"], SLURM[3]), WEB)),
    ("observe", SAMPLE, {**SAMPLE, "mode": "observe"}),
    ("nothing left but SSH", SAMPLE, policy(SSH)),
    ("absent", SAMPLE, None),
    ("nothing to do", SAMPLE, SAMPLE),
]


@pytest.mark.parametrize("before, after", [step[1:] for step in STEPS], ids=[step[0] for step in STEPS])
def test_check_mode_says_exactly_what_the_real_run_says(machine: Machine, before: Any, after: Any) -> None:
    def run(**options: Any) -> dict[str, Any]:
        return machine.apply(after, **options) if after else machine.remove(**options)

    if before:
        machine.apply(before)
    found = machine.generation(), machine.listing(), machine.files()
    checked = run(check=True)
    assert (machine.generation(), machine.listing(), machine.files()) == found
    real = run()
    assert without_invocation(checked) == without_invocation(real)
    # One transaction, one more before it for what is new, and one more after it for what goes.
    made = machine.generation() - found[0]
    assert made in ((1, 2, 3) if real["changed"] else (0,))
    assert not run()["changed"]


def test_changes_are_told_in_addresses_and_ports_not_in_how_they_are_collapsed(machine: Machine) -> None:
    peers = ("10.64.0.1/32", "10.64.0.2/31", "fd64::/64")
    machine.apply(policy(SSH, ("in", "nfs", ["2049/tcp"], peers), ("in", "srun", ["8192-60000/tcp"], ANYWHERE)))
    more = ("10.64.0.0/30", "fd64::/65")
    result = machine.apply(
        policy(
            SSH,
            ("in", "nfs", ["2049/tcp", "111/udp"], more),
            ("in", "srun", ["8192-60000/tcp"], ANYWHERE),
            ("in", "web", ["9000/tcp"], ANYWHERE),
        )
    )
    assert {key: value for key, value in result["changes"].items() if key != "objects"} == {
        "flows_added": ["in_web"],
        "flows_removed": [],
        "ports_changed": {"in_nfs": {"added": ["111/udp"], "removed": []}},
        "addresses_changed": {"in_nfs": {"added": ["10.64.0.0"], "removed": ["fd64::8000:0:0:0/65"]}},
    }


def test_counters_survive_an_apply(machine: Machine) -> None:
    machine.apply()
    machine.pair.peer.run("bash", "-c", "for i in 1 2 3; do echo x > /dev/udp/192.0.2.1/999; done")
    assert machine.counted("denied_in") == 3
    assert machine.apply(policy(SSH, WEB))["changed"]
    assert machine.counted("denied_in") == 3


# ---- drift

SSH_RULE = 'ip saddr @in_management_ssh_v4 counter name "in_management_ssh" accept'


# New chains are added before a rule jumps to them; additions by hand are removed after the last jump to them.
IN_TWO = {
    "a chain that ours jumps to",
    *(f"another {kind}" for kind in KINDS),
    "the table gone",
    "everything gone",
    "the table empty",
}


@pytest.mark.parametrize("case", BY_NFT)
def test_drift_in_the_kernel_is_named_and_mended(machine: Machine, case: str) -> None:
    script, objects = BY_NFT[case]
    machine.apply()
    wanted = machine.objects()
    machine.nft(script)
    check_mending(machine, objects, transactions=2 if case in IN_TWO else 1)
    assert machine.objects() == wanted


def check_mending(machine: Machine, objects: set[str], transactions: int = 1) -> None:
    """Check mode names these objects (empty: any), and the real run mends them at once."""
    before = machine.generation()
    checked = machine.apply(check=True)
    assert checked["changed"]
    assert set(checked["changes"]["objects"]) == objects if objects else checked["changes"]["objects"]
    real = machine.apply()
    assert without_invocation(real) == without_invocation(checked)
    assert machine.generation() == before + transactions


def test_a_rule_deleted_by_hand_is_exactly_what_the_diff_shows(machine: Machine) -> None:
    machine.apply()
    machine.delete_rule("in_management_ssh", SSH_RULE)
    result = machine.apply(check=True)
    other = '    ip6 saddr @in_management_ssh_v6 counter name "in_management_ssh" accept\n'
    assert result["diff"] == {
        "before": f"chain in_management_ssh:\n{other}",
        "after": f"chain in_management_ssh:\n    {SSH_RULE}\n{other}",
    }
    assert result["changes"] == {
        **NO_FLOWS,
        "objects": ["chain in_management_ssh"],
        "addresses_changed": {"in_management_ssh": {"added": ["10.64.9.9"], "removed": []}},
    }
    check_mending(machine, {"chain in_management_ssh"})
    assert not machine.apply()["changed"]


def test_a_comment_is_only_text_in_the_diff(machine: Machine) -> None:
    machine.apply()
    machine.nft('add rule inet hpc_ports input tcp dport 9 accept comment "\x1b[2J\u202e"\n')
    result = machine.apply(check=True)
    assert parsed("compared", result) == {"backend": "nftables", "changes": {"objects": ["chain input"]}}
    assert '    tcp dport 9 accept comment "\\x1b[2J\\u202e"\n' in result["diff"]["before"]


def test_rules_in_another_order_are_drift(machine: Machine) -> None:
    machine.apply()
    wanted = machine.objects()
    machine.delete_rule("arriving", "meta l4proto icmp accept")
    machine.nft("add rule inet hpc_ports arriving meta l4proto icmp accept\n")
    check_mending(machine, {"chain arriving"})
    assert machine.objects() == wanted


def test_an_open_port_by_hand_is_a_port_of_its_flow(machine: Machine) -> None:
    machine.apply()
    machine.nft("add element inet hpc_ports in_tcp { 3389 : jump in_web }\n")
    result = machine.apply()
    assert result["changes"]["ports_changed"] == {"in_web": {"added": [], "removed": ["3389/tcp"]}}
    assert result["diff"]["before"].replace("    element 3389 : jump in_web\n", "") == result["diff"]["after"]


def test_counters_and_other_tables_are_no_drift(machine: Machine) -> None:
    machine.apply()
    machine.nft(OTHER_TABLES)
    machine.pair.peer.run("bash", "-c", "echo x > /dev/udp/192.0.2.1/999")
    machine.host.shell("nft reset counters table inet hpc_ports")
    assert not machine.apply()["changed"]


# Notes what nft lists where the host's own rules are, and not where a module tries rules.
NOTING_NFT = """
case "$*" in *"list "*) [ "$(readlink /proc/self/ns/net)" != "{network}" ] || echo "$@" >> /run/listed ;; esac
exec {nft} "$@"
"""


def test_nft_lists_again_only_what_has_changed(machine: Machine) -> None:
    """Some nft read all rules of a host for any listing, which may be very many."""

    def listed() -> list[str]:
        machine.path("/run/listed").write_text("", encoding="utf-8")
        result = machine.apply(check=True)
        assert not result.get("failed"), result
        return machine.path("/run/listed").read_text(encoding="utf-8").splitlines()

    machine.nft(OTHER_TABLES)
    machine.program(
        "nft", NOTING_NFT.format(nft=shutil.which("nft"), network=os.readlink(f"/proc/{machine.host.pid}/ns/net"))
    )
    machine.apply()
    listed()  # The folder in which listings are kept is there since the change.
    assert listed() == []
    machine.pair.peer.run("bash", "-c", "echo x > /dev/udp/192.0.2.1/999")
    machine.host.shell("nft reset counters")
    assert listed() == []
    machine.nft("add rule inet hpc_ports input tcp dport 23 accept\n")
    assert [listed(), listed()] == [["-s list table inet hpc_ports"], []]
    machine.nft(
        "add table ip site\nadd chain ip site c { type filter hook input priority 7; }\n"
        "add rule ip site c tcp dport 24 counter drop\n"
    )
    assert [listed(), listed()] == [["-s -t list ruleset"], []]


def test_a_host_that_booted_without_its_rules_is_named_until_they_are_loaded(machine: Machine) -> None:
    """Also where the watch has loaded them since; a run that loads others ends it."""
    machine.apply()
    machine.program("systemctl", systemctl_that_shows("hpc-ports.service", "failed") + SYSTEMCTL)
    told = machine.apply()
    assert not told["changed"] and "hpc-ports.service has failed: this host could not load its ruleset at boot" in str(
        told["warnings"]
    )
    assert "restart hpc-ports.service" not in machine.systemctl_calls()
    machine.nft("flush chain inet hpc_ports input\n")
    assert machine.apply()["warnings"] == told["warnings"]
    assert "restart hpc-ports.service" in machine.systemctl_calls()


BY_SHELL: dict[str, tuple[str, set[str]]] = {
    "the file edited": (f"echo '# mine' >> {RULESET}", {f"file {RULESET}"}),
    "the file with other line ends": (f"sed -i 's/$/\\r/' {RULESET}", {f"file {RULESET}"}),
    "the file without its last line end": (f"truncate -s -1 {RULESET}", {f"file {RULESET}"}),
    "the file with bytes that are no text": (f"printf '\\377\\n' >> {RULESET}", {f"file {RULESET}"}),
    "the file empty": (f": > {RULESET}", {f"file {RULESET}"}),
    "the file gone": (f"rm {RULESET}", {f"file {RULESET}"}),
    "the folder gone": (f"rm -r $(dirname {RULESET})", {f"file {RULESET}"}),
    "the file a link": (
        f"mv {RULESET} /etc/elsewhere; ln -s /etc/elsewhere {RULESET}",
        {f"file {RULESET}", f"link {RULESET}"},
    ),
    "the mode changed": (f"chmod 666 {RULESET}", {f"file {RULESET}"}),
    "the unit edited": (f"sed -i s/oneshot/simple/ {UNIT}", {f"file {UNIT}"}),
    "the unit gone": (f"rm {UNIT}", {f"file {UNIT}"}),
    "the unit masked": (f"ln -sf /dev/null {UNIT}", {f"file {UNIT}", f"link {UNIT}"}),
    "the unit disabled": (f"rm {LINK}", {f"link {LINK}"}),
    "the link to elsewhere": (f"ln -sf /dev/null {LINK}", {f"link {LINK}"}),
}


@pytest.mark.parametrize("case", BY_SHELL)
def test_drift_on_disk_is_named_and_mended(machine: Machine, case: str) -> None:
    program, objects = BY_SHELL[case]
    machine.apply()
    wanted = machine.files()
    calls = machine.systemctl_calls()
    machine.host.shell(program)
    check_mending(machine, objects, transactions=0)
    found = machine.files()
    assert {path: found.get(path) for path in wanted} == wanted
    about_unit = f"file {UNIT}" in objects
    assert machine.systemctl_calls() == calls + ["daemon-reload"] * about_unit


# ---- other people's rules, and absent


def test_other_tables_stay_byte_for_byte_through_apply_and_absent(machine: Machine) -> None:
    machine.nft(OTHER_TABLES)
    machine.host.shell("iptables-nft -t mangle -A INPUT -p tcp --dport 81 -j ACCEPT")
    tables, files = machine.listing(), machine.files()
    machine.apply()
    machine.apply(policy(SSH, WEB, mode="observe"))
    machine.nft("add set inet hpc_ports mine { type ipv4_addr; }")
    machine.apply()
    assert machine.listing().startswith(tables)
    assert machine.remove()["changed"]
    assert (machine.listing(), machine.files()) == (tables, files)


def test_absent_leaves_the_host_as_it_was_after_ten_applies_and_then_does_nothing(machine: Served) -> None:
    files = machine.files()
    for wanted in [*(policy(SSH), SAMPLE, policy(SSH, WEB, mode="observe")) * 3, SAMPLE]:
        assert machine.apply(wanted)["changed"]
    assert machine.started.remove()["changes"]["flows_removed"] == [
        "in_management_ssh",
        "in_slurm_control",
        "in_web",
        "out_dns",
    ]
    assert (machine.listing(), machine.files()) == ("", files)
    assert machine.systemctl_calls() == [
        "daemon-reload",
        "daemon-reload",
        "stop hpc-ports.service",
        "reset-failed hpc-ports.service",
    ]
    generation = machine.generation()
    assert not machine.remove()["changed"]
    assert machine.generation() == generation


@pytest.mark.parametrize(
    "left",
    [
        "nft add table inet hpc_ports",
        f"mkdir -p $(dirname {LINK}); ln -s {UNIT} {LINK}",
        f"mkdir /etc/hpc-ports; echo x > {RULESET}",
    ],
)
def test_absent_removes_what_half_a_removal_left(machine: Machine, left: str) -> None:
    files = machine.files()
    machine.host.shell(left)
    assert machine.remove()["changed"]
    assert (machine.listing(), machine.files()) == ("", files)
    assert not machine.remove()["changed"]


# ---- warnings


def test_a_connection_tracking_that_is_nearly_full_is_warned_of_before_a_change(machine: Machine) -> None:
    machine.host.shell(
        "mkdir /run/full; cd /run/full; echo 950 > nf_conntrack_count; echo 1000 > nf_conntrack_max\n"
        "mount --bind /run/full /proc/sys/net/netfilter"
    )
    for check in (True, False):
        warnings = str(machine.apply(check=check)["warnings"])
        assert "nf_conntrack_count is 950, nf_conntrack_max is 1000" in warnings
    assert "warnings" not in machine.apply()


def test_a_bridge_with_a_network_card_is_no_bridge_of_containers(machine: Served) -> None:
    machine.host.shell(
        "ip link add br-lan type bridge; ip link add card type ifb; ip link set card master br-lan\n"
        "ip link add br-0a1b type bridge"
    )
    try:
        result = machine.apply({**SAMPLE, "container_interfaces": ["br-*"]})
        assert len(result["warnings"]) == 1
        for text in ("br-lan leads to other hosts", "DNS, DHCP", "restricted egress does not apply on it"):
            assert text in str(result["warnings"])
        assert "are dropped" not in str(result["warnings"])
        assert "are dropped" in str(machine.apply({**SAMPLE, "filtered_containers": ["br-l*"]})["warnings"])
    finally:
        machine.host.shell("ip link delete br-lan; ip link delete card; ip link delete br-0a1b")


def test_a_bridge_of_containers_that_no_variable_names_is_told(machine: Served) -> None:
    """As of a network of Docker with a name of its own for the bridge."""
    machine.host.shell(
        "for name in foo0 docker0; do ip link add $name type bridge; ip link add v$name type veth peer name p$name\n"
        "ip link set v$name master $name; done; ip link add empty0 type bridge"
    )
    try:
        policy = {**SAMPLE, "filtered_containers": ["docker*"]}
        [warning] = [text for text in machine.apply(policy, check=True)["warnings"] if "are not filtered" in str(text)]
        assert "Forwarded packets of foo0 are not filtered" in str(warning)
        for more in ({"container_interfaces": ["foo0"]}, {"trusted_interfaces": ["foo*"]}, {"filtered_containers": []}):
            assert "are not filtered" not in str(machine.apply({**policy, **more}, check=True).get("warnings"))
    finally:
        machine.host.shell("for name in foo0 docker0 empty0 vfoo0 vdocker0; do ip link delete $name; done")


def test_other_rules_are_told_by_name_on_every_run(machine: Machine) -> None:
    machine.nft(OTHER_TABLES)
    for check in (True, False, False):
        result = machine.apply(check=check)
        warnings = str(result["warnings"])
        for effect, names in (
            ("dropping", ("inet f2b-table", "f2b-chain")),
            ("translating", ("ip nat", "172.17.0.2:80")),
        ):
            found = [text for text in result["other_rules"][effect] if all(name in text for name in names)]
            assert len(found) == 1 and all(name in warnings for name in names), result


# ---- failures


def check_refusal(machine: Machine, wanted: Any = None, **options: Any) -> dict[str, Any]:
    """The run fails, and kernel and disk are as they were; return the result."""
    found = machine.listing(), machine.files()
    result = machine.apply(wanted, **options)
    assert result["failed"]
    assert (machine.listing(), machine.files()) == found
    return result


OTHER = policy(SSH, ("in", "nfs", ["2049/tcp"], ANYWHERE))
WITHOUT_NFT = ": > /run/nothing; mount --bind /run/nothing $(command -v nft)"


@pytest.fixture(params=["never had rules", "has rules"])
def any_machine(request: pytest.FixtureRequest, machine: Served) -> Served:
    """A host that never had rules, or one that has others than `OTHER`."""
    if request.param == "has rules":
        machine.apply()
    return machine


def test_nft_missing(any_machine: Machine) -> None:
    any_machine.host.shell(WITHOUT_NFT)
    result = any_machine.apply(OTHER)
    assert (result["failed"], result["msg"], result["missing_packages"]) == (
        True,
        "Missing program nft: install the package nftables.",
        ["nftables"],
    )


def test_nft_too_old(any_machine: Machine) -> None:
    any_machine.program("nft", 'echo "nftables v0.9.6 (Capital Idea #2)"')
    assert check_refusal(any_machine, OTHER)["msg"] == (
        "nft is too old: got 'nftables v0.9.6 (Capital Idea #2)', expected 0.9.8 or later. Update the package nftables."
    )


def test_a_user_who_is_not_root(any_machine: Machine) -> None:
    # In a user namespace without a mapping a process is nobody, and can still read what root can.
    result = check_refusal(any_machine, OTHER, prefix=("unshare", "--user"))
    assert (result["msg"], result["missing_packages"]) == (
        "Invalid user: got uid 65534, expected root. Set become: true.",
        [],
    )


def test_root_without_the_right_to_change_rules(any_machine: Machine) -> None:
    result = check_refusal(any_machine, OTHER, prefix=without_capability("net_admin"))
    assert "Operation not permitted" in result["msg"] and result["msg"].endswith(KEPT)


def without_capability(name: str) -> tuple[str, ...]:
    return ("setpriv", f"--bounding-set=-{name}", f"--inh-caps=-{name}", "--")


def test_root_without_the_right_to_make_network_namespaces_makes_a_user_namespace(any_machine: Machine) -> None:
    prefix = without_capability("sys_admin")
    assert any_machine.apply(OTHER, prefix=prefix)["changed"]
    assert not any_machine.apply(OTHER, prefix=prefix)["changed"]


def test_no_right_to_any_namespace(any_machine: Machine) -> None:
    any_machine.program("unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    assert check_refusal(any_machine, OTHER)["msg"] == (
        "Cannot create a network namespace to test the ruleset: unshare: unshare failed: Operation not permitted. "
        "Nothing was changed. Give the container CAP_SYS_ADMIN, or allow user namespaces."
    )


def test_etc_read_only(any_machine: Served) -> None:
    any_machine.host.shell("mount -o remount,ro /etc")
    assert check_refusal(any_machine.started, OTHER)["msg"] == f"Cannot write {RULESET}: Read-only file system. {KEPT}"


def test_absent_with_etc_read_only_leaves_all_as_it_was(machine: Machine) -> None:
    machine.apply()
    machine.host.shell("mount -o remount,ro /etc")
    found = machine.listing(), machine.files()
    assert machine.remove()["msg"] == (
        f"Cannot remove {LINK}: Read-only file system. The ruleset that ran before still runs, but a reboot may no "
        "longer load it. Fix this and run again."
    )
    assert (machine.listing(), machine.files()) == found


def test_absent_where_nft_is_gone_removes_the_files(machine: Machine) -> None:
    files = machine.files()
    machine.apply()
    machine.nft("flush ruleset")
    machine.host.shell(WITHOUT_NFT)
    assert machine.remove()["changed"]
    assert machine.files() == files


@pytest.mark.parametrize("room", ["none", "for a part"])
def test_disk_full(any_machine: Machine, room: str) -> None:
    any_machine.host.shell(
        "mkdir /run/small; mount -t tmpfs -o size=64k tmpfs /run/small; mkdir -p /etc/hpc-ports\n"
        "cp -a /etc/hpc-ports/. /run/small/; mount --bind /run/small /etc/hpc-ports; chmod 755 /etc/hpc-ports\n"
        f"head -c {65536 if room == 'none' else 45000} /dev/zero > /run/small/filler || true"
    )
    addresses = tuple(f"10.{number // 200}.{number % 200}.0/25" for number in range(3000))
    wanted = policy(SSH, ("in", "nfs", ["2049/tcp"], addresses))
    assert check_refusal(any_machine, wanted)["msg"] == f"Cannot write {RULESET}: No space left on device. {KEPT}"


def test_a_ruleset_that_does_not_load_where_it_is_tried(any_machine: Machine) -> None:
    overlapping = policy(SSH, ("in", "nfs", ["2049/tcp"], ("10.64.0.0/24", "10.64.0.0/25")))
    message = check_refusal(any_machine, overlapping)["msg"]
    assert "conflicting intervals specified" in message or "interval overlaps" in message
    assert message.endswith(KEPT)


def test_a_ruleset_that_does_not_load_into_the_host(any_machine: Machine) -> None:
    nft = any_machine.host.shell("command -v nft").strip()
    any_machine.program(
        "nft",
        f"""
if [ "$1" = -f ] && [ "$(readlink /proc/self/ns/net)" = "$(readlink /proc/{any_machine.host.holder.pid}/ns/net)" ]; then
    echo 'Error: Could not process rule: No buffer space available' >&2; exit 1
fi
exec {nft} "$@" """,
    )
    assert check_refusal(any_machine, OTHER)["msg"] == (
        "'nft -f -' failed with exit code 1: Error: Could not process rule: No buffer space available. " + KEPT
    )
    # There was nothing to undo.
    assert "undone" not in any_machine.host.shell("ls -R /run/hpc-ports")


@pytest.mark.parametrize("at", [2, 3])
def test_a_change_of_which_a_later_part_does_not_load_is_undone(machine: Machine, at: int) -> None:
    """What is new is filled before, and what goes is deleted after."""
    wanted = policy(SSH, ("in", "https", ["443/tcp"], ANYWHERE))
    machine.apply()
    found, files = machine.objects(), machine.files()
    nft = machine.host.shell("command -v nft").strip()
    machine.program(
        "nft",
        f"""
if [ "$*" = "-f -" ] && [ "$(readlink /proc/self/ns/net)" = "$(readlink /proc/{machine.host.holder.pid}/ns/net)" ]; then
    echo x >> /run/loads; [ "$(wc -l < /run/loads)" -ne {at} ] || {{ echo 'Error: No buffer space' >&2; exit 1; }}
fi
exec {nft} "$@" """,
    )
    assert machine.apply(wanted)["msg"] == f"'nft -f -' failed with exit code 1: Error: No buffer space. {KEPT}"
    assert (machine.objects(), machine.files()) == (found, files)
    assert machine.apply(policy(SSH))["changed"]


def test_a_file_that_cannot_be_put_in_its_place(any_machine: Machine) -> None:
    any_machine.host.shell(
        f"mkdir -p $(dirname {RULESET}); touch {RULESET} /run/mine\nmount --bind /run/mine {RULESET}"
    )
    result = any_machine.apply(OTHER)
    assert result["failed"] and "a reboot would not load it: cannot write " in result["msg"]
    assert any_machine.host.shell("find /etc -name '*.new'") == ""


def test_firewalld_that_runs_and_does_not_answer(any_machine: Machine) -> None:
    any_machine.program("systemctl", systemctl_that_shows("firewalld.service", "active"))
    assert check_refusal(any_machine, OTHER)["msg"] == (
        "firewalld is running, but does not answer on D-Bus: Failed to connect to bus: No such file or directory. "
        "Nothing was changed. See: systemctl status firewalld dbus"
    )


def test_nftables_asked_for_beside_firewalld(any_machine: Machine) -> None:
    any_machine.program("systemctl", systemctl_that_shows("firewalld.service", "active"))
    assert check_refusal(any_machine, OTHER, backend="nftables")["msg"].startswith("firewall_backend is 'nftables'")


def test_firewalld_asked_for_where_it_does_not_run(any_machine: Machine) -> None:
    any_machine.program("systemctl", SYSTEMCTL)
    assert check_refusal(any_machine, OTHER, backend="firewalld")["msg"].startswith("firewall_backend is 'firewalld'")


# ---- a policy that nobody should have sent

RULE: dict[str, Any] = {"direction": "in", "flow": "x", "ports": ["22/tcp"], "peers": "k"}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "format": ({"format": 1}, "Invalid policy format: got 1, expected 2."),
    "mode": (
        {"mode": "enforce; policy accept"},
        "Invalid mode: got 'enforce; policy accept', expected one of enforce, observe.",
    ),
    "egress": ({"egress": "closed"}, "Invalid egress: got 'closed', expected one of open, restricted."),
    "interface": (
        {"trusted_interfaces": ['eth0" accept #']},
        "Invalid interface: got 'eth0\" accept #', expected a name of the form",
    ),
    "interface, too long": ({"trusted_interfaces": ["a" * 16]}, "Invalid interface: got 'aaaaaaaaaaaaaaaa', expected"),
    "any interface": ({"trusted_interfaces": ["*"]}, "Invalid interface: got '*', expected a name of the form"),
    "flow": (
        {"rules": [{**RULE, "flow": 'x" accept; add rule inet hpc_ports input accept #'}]},
        "Invalid flow: got 'x\" accept; add rule inet hpc_ports input accept #', expected a name of the form",
    ),
    "flow, new line": ({"rules": [{**RULE, "flow": "x\n"}]}, "Invalid flow: got 'x\\n', expected a name of the form"),
    "flow, too long": ({"rules": [{**RULE, "flow": "x" * 65}]}, "Invalid flow: got 'x"),
    "direction": (
        {"rules": [{**RULE, "direction": "in; flush ruleset"}]},
        "Invalid direction: got 'in; flush ruleset', expected one of in, out.",
    ),
    "ports": ({"rules": [{**RULE, "ports": ["22/tcp, 23"]}]}, "Invalid ports of flow 'x': got '22/tcp, 23', expected"),
    "ports, as a number": ({"rules": [{**RULE, "ports": [22]}]}, "Invalid ports of flow 'x': got 22, expected"),
    "network": ({"networks": {"k": ["10.0.0.0/8 }; flush ruleset"]}}, "Invalid network: "),
    "network with a scope": (
        {"networks": {"k": ["fe80::%} ; flush ruleset"]}},
        "Invalid network: got 'fe80::%} ; flush ruleset', expected a network such as",
    ),
    "network, as a number": ({"networks": {"k": [1]}}, "Invalid network: got 1, expected a network such as"),
    "no such peers": ({"rules": [{**RULE, "peers": "other"}]}, "Invalid policy: the key 'other' is missing."),
    "rules, as a number": ({"rules": 1}, "Invalid policy: "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_policy_is_refused(machine: Machine, case: str) -> None:
    change, message = BAD[case]
    wanted = {**policy(SSH), "networks": {"k": ["10.0.0.0/8"]}, "rules": [RULE], **change}
    assert check_refusal(machine, wanted)["msg"].startswith(message)
