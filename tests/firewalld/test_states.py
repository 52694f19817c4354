# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld stopped, broken, locked, half way, or with settings of the user: a clear error, or the right thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.support.namespaces import snapshot
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE, SLURM, SSH, WEB, policy
from ansible_collections.hpc.ports.tests.support.signs import wait_until

DNS = ("out", "dns", ["53/udp", "53/tcp"], ("10.64.0.53/32",))
# Other peers of the same flows: no reload.
OTHER_PEERS = policy(SSH, (*SLURM[:3], ("10.64.0.0/24", "10.64.2.2/32")), WEB, DNS, egress="restricted")
OTHER_PORTS = policy(SSH, SLURM, (*WEB[:2], ["443/tcp", "80/tcp"], WEB[3]), DNS, egress="restricted")
# Another flow: a reload.
OTHER_FLOWS = policy(SSH, WEB, ("in", "nfs", ["2049/tcp"], ("10.64.0.0/24",)), DNS, egress="restricted")
IPSET = "hpc_ports_in_slurm_control_4a"
# Of what is said where a reload would change it; the unit test of firewalld_host has the whole sentence.
NEEDS_RELOAD = "differ between the running and the saved configuration: "


@pytest.fixture(name="host")
def _host(daemon: Daemon) -> Daemon:
    return daemon


def apply(host: Daemon, wanted: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Give the host a policy, or the sample, and confirm it; return the module's result."""
    result = host.module(policy=wanted or SAMPLE, diff=True, **options)
    assert not result.get("failed"), result
    pending = result.pop("pending", None)
    if pending:
        answer = host.module("firewall_confirm", token=pending["token"])
        assert answer["status"] == "confirmed"
        if answer.get("leaves"):
            # As the action plugin does, which removes our rules from the other backend so.
            assert not apply(host, wanted, **options).get("failed")
    return result


def everything(host: Daemon) -> Any:
    """What a run that changes nothing leaves as it is: rules, files, and that nothing is armed."""
    return snapshot_of(host), host.host.shell(
        "nft -s list ruleset; ls /etc/systemd/system /etc/systemd/system/sysinit.target.wants; "
        "ls -a /etc | grep hpc || true; ls /run/hpc-ports 2> /dev/null | grep -vE '^(lock|listing-.*)$' || true"
    )


def snapshot_of(host: Daemon) -> Mapping[str, Any]:
    return snapshot(host.host, "/etc/firewalld")


def table_of(host: Daemon) -> tuple[str, ...]:
    """Return what runs of ours in the kernel, as the backend sees it."""
    return host.runs.state(asks_firewalld=False).table


def refusal(host: Daemon, wanted: Mapping[str, Any] | None = None, **options: Any) -> str:
    """Return the error of a run, which leaves everything as it is, as does one in check mode."""
    before = everything(host)
    result = host.module(policy=wanted or SAMPLE, **options)
    assert result.get("failed"), result
    assert everything(host) == before
    assert host.module(policy=wanted or SAMPLE, check=True, **options).get("msg") == result["msg"]
    return str(result["msg"])


def generation(host: Daemon) -> str:
    """What another reload of firewalld makes another: the handle of its table."""
    return host.host.shell("nft -a list table inet firewalld | head -n 1")


# ---- whether it runs


@pytest.mark.versions("1.3.3")
def test_stopped_and_enabled(host: Daemon) -> None:
    host.host.shell("systemctl stop firewalld")
    assert "firewalld is enabled on this host, but does not run (its state is 'inactive')" in refusal(host)
    assert "firewalld does not run on this host (its state is 'inactive')" in refusal(host, backend="firewalld")


@pytest.mark.versions("1.3.3")
def test_nftables_was_asked_for_and_firewalld_runs(host: Daemon) -> None:
    assert refusal(host, backend="nftables").startswith("firewall_backend is 'nftables', but firewalld runs")


def tables(host: Daemon) -> list[str]:
    """The oldest firewalld has two more."""
    return sorted(host.host.shell("nft list tables").split("\n"))[1:]


def ours_in_firewalld(host: Daemon) -> str:
    return host.host.shell("ls -A /etc/firewalld/policies /etc/firewalld/ipsets 2> /dev/null | grep hpc_ports || true")


@pytest.mark.takes_turns
def test_from_one_backend_to_the_other_and_back(host: Daemon) -> None:
    host.host.shell("systemctl mask --quiet --now firewalld")
    assert apply(host)["backend"] == "nftables"
    assert tables(host) == ["table inet hpc_ports"]
    host.host.shell("systemctl unmask --quiet firewalld; systemctl start firewalld")
    host.wait_for_firewalld()
    assert apply(host)["backend"] == "firewalld"
    assert "table inet firewalld" in tables(host) and "table inet hpc_ports" not in tables(host)
    units = ["hpc-ports-published.service", "published.nft"]
    assert host.host.shell("ls -A /etc/hpc-ports /etc/systemd/system | grep -E 'hpc-|nft'").split()[-2:] == units[::-1]
    assert not apply(host)["changed"]
    host.host.shell("systemctl mask --quiet --now firewalld")
    result = apply(host)
    assert (result["backend"], result["changed"]) == ("nftables", True)
    assert (tables(host), ours_in_firewalld(host)) == (["table inet hpc_ports"], "")
    assert not apply(host)["changed"]
    assert host.module(state="absent")["changed"]
    assert tables(host) == []


NO_PROTOCOLS = "/etc/protocols is missing: "


def test_a_start_without_protocols(host: Daemon) -> None:
    """The oldest comes up; a reload would still fail."""
    host.host.shell("rm /etc/protocols; systemctl restart firewalld || true")
    state = {"1.3.3": "inactive", "2.3.1": "failed"}.get(host.version)
    if state:
        host.host.wait(f"systemctl is-active firewalld | grep -qx {state}")
    else:
        host.wait_for_firewalld()
    assert refusal(host).startswith(
        NO_PROTOCOLS
        if state is None
        else (f"firewalld is enabled on this host, but does not run (its state is {state!r}).")
    )


@pytest.mark.versions("1.3.3")
def test_no_protocols_while_it_runs(host: Daemon) -> None:
    host.host.shell("rm /etc/protocols")
    assert refusal(host).startswith(NO_PROTOCOLS)


@pytest.mark.takes_turns
def test_panic(host: Daemon) -> None:
    host.host.shell("firewall-cmd --panic-on")
    assert refusal(host).startswith("firewalld is in panic mode")


# firewalld 2 has none.
WITH_LOCKDOWN = pytest.mark.versions("0.9.3", "1.3.3")


def lock_down(host: Daemon) -> None:
    """Have nobody change firewalld over D-Bus, root neither."""
    host.host.shell(
        "printf '<whitelist>\\n</whitelist>\\n' > /etc/firewalld/lockdown-whitelist.xml; "
        "sed -i 's/^Lockdown=.*/Lockdown=yes/' /etc/firewalld/firewalld.conf; systemctl restart firewalld; "
        "firewall-cmd --query-lockdown"
    )


@WITH_LOCKDOWN
@pytest.mark.takes_turns
def test_lockdown_stops_a_change_of_rules_by_calls(host: Daemon) -> None:
    apply(host)
    lock_down(host)
    before = everything(host)
    result = host.module(policy=OTHER_PORTS)
    assert (
        result["msg"].startswith("firewalld lockdown is enabled, ")
        and "ACCESS_DENIED: lockdown is enabled" in result["msg"]
    )
    assert everything(host) == before


@WITH_LOCKDOWN
@pytest.mark.takes_turns
def test_lockdown_does_not_stop_a_reload(host: Daemon) -> None:
    """Any user who may talk to firewalld may reload it."""
    lock_down(host)
    assert apply(host)["changed"]
    assert not apply(host)["changed"]


@pytest.mark.versions("0.9.3")
def test_the_program_ipset_is_missing(host: Daemon) -> None:
    host.host.shell("mv /usr/sbin/ipset /usr/sbin/ipset.away; systemctl restart firewalld")
    try:
        host.wait_for_firewalld()
        result = host.module(policy=SAMPLE)
        assert refusal(host).startswith("firewalld 0.9.3 has no ipsets")
    finally:
        host.host.shell("mv /usr/sbin/ipset.away /usr/sbin/ipset")
    assert result["missing_packages"] == ["ipset"]


@pytest.mark.versions("1.3.3")
def test_the_other_firewall_backend(host: Daemon) -> None:
    """Where it is only saved, the next reload would have it run."""
    host.host.shell("sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/' /etc/firewalld/firewalld.conf")
    assert refusal(host).startswith("FirewallBackend is 'iptables' in /etc/firewalld/firewalld.conf, ")


# ---- what a policy cannot have


def test_trusted_interfaces(host: Daemon) -> None:
    if host.version == "0.9.3":
        assert refusal(host, policy(SSH, interfaces=("fab0", "eth9"))) == (
            "firewall_trusted_interfaces: got fab0, eth9: firewalld before 1.0 cannot match interfaces in a "
            "policy. Nothing was changed. Define flows for the traffic of these interfaces, update firewalld, or use "
            "the nftables backend."
        )
    else:
        assert refusal(host, policy(SSH, interfaces=("eth9", "fab*"))) == (
            "firewall_trusted_interfaces: got 'fab*': firewalld does not support interface patterns. Nothing "
            "was changed. List each interface."
        )


# ---- its own containers

BRIDGES = """ip link add docker0 type bridge; ip addr add 10.88.0.1/24 dev docker0; ip link set docker0 up
ip link add br-lan type bridge; ip link add card type ifb; ip link set card master br-lan
ip addr add 10.89.0.1/24 dev br-lan; ip link set card up; ip link set br-lan up"""
SEND = """python3 -c '
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for peer in ("10.88.0.9", "10.89.0.9", "192.0.2.2"):
    try:
        sock.sendto(b"x", (peer, 9999)); print("sent")
    except PermissionError:
        print("held back")'"""


def test_restricted_egress_lets_out_what_goes_to_the_hosts_own_containers(host: Daemon) -> None:
    """The bridge with a network card has the name of one of containers, too."""
    wanted = policy(SSH, DNS, egress="restricted", containers=("docker*", "br-*"))
    apply(host, wanted)
    host.host.shell(BRIDGES)
    try:
        assert host.host.shell(SEND).split("\n")[:3] == ["held back"] * 3
        assert apply(host, wanted)["changed"] and not apply(host, wanted)["changed"]
        assert host.host.shell(SEND).split("\n")[:3] == ["sent", "held back", "held back"]
    finally:
        host.host.shell("ip link delete docker0; ip link delete br-lan; ip link delete card")
    assert apply(host, wanted)["changed"] and not apply(host, wanted)["changed"]


# ---- settings of the user

ONLY_RUN = {
    "a service": ("firewall-cmd --add-service=http", "zone public: services", "--list-services"),
    "a rich rule": (
        'firewall-cmd --add-rich-rule=\'rule family="ipv4" source address="10.9.9.9" accept\'',
        "zone public: rules_str",
        "--list-rich-rules",
    ),
    "an entry of an ipset": (
        "firewall-cmd --ipset=users --add-entry=10.9.9.9",
        "ipset users: entries",
        "--ipset=users --get-entries",
    ),
    "a direct rule": (
        "firewall-cmd --direct --add-rule ipv4 filter INPUT 0 -p tcp --dport 9 -j ACCEPT",
        "direct: rules",
        "--direct --get-all-rules",
    ),
}


def users_ipset(host: Daemon) -> None:
    """Have an ipset of the user's, saved and running."""
    host.write("/etc/firewalld/ipsets/users.xml", '<ipset type="hash:ip"/>')
    host.host.shell(call("reload"))


# Direct rules need iptables, which comes with the package of 0.9.3 only.
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.versions("0.9.3" if kind == "a direct rule" else "1.3.3"))
        for kind in ONLY_RUN
    ],
)
def test_what_only_runs_survives_calls_and_stops_a_reload(host: Daemon, kind: str) -> None:
    command, name, listing = ONLY_RUN[kind]
    users_ipset(host)
    apply(host)
    host.host.shell(command)
    found = host.says(*listing.split())
    before = generation(host)
    assert apply(host, OTHER_PEERS)["changed"]
    assert (host.says(*listing.split()), generation(host)) == (found, before)
    assert f"{NEEDS_RELOAD}{name}. " in refusal(host, OTHER_FLOWS)
    assert f"{NEEDS_RELOAD}{name}. " in host.module(state="absent")["msg"]


@pytest.mark.versions("1.3.3")
def test_what_is_only_saved_stops_a_reload(host: Daemon) -> None:
    users_ipset(host)
    host.host.shell(
        "firewall-cmd --permanent --add-service=http; "
        "firewall-cmd --permanent --ipset=users --add-entry=10.9.9.9; firewall-cmd --permanent --new-zone=mine; "
        "firewall-cmd --permanent --new-policy=users"
    )
    refused = refusal(host)
    assert f"{NEEDS_RELOAD}ipset users: entries; policy users: " in refused
    assert "; zone mine: " in refused and "; zone public: services. Nothing" in refused


@pytest.mark.versions("0.9.3")
def test_a_saved_zone_names_an_ipset_that_is_not_there(host: Daemon) -> None:
    host.host.shell("printf '<zone>\\n<source ipset=\"gone\"/>\\n</zone>\\n' > /etc/firewalld/zones/mine.xml")
    assert "do not exist: gone (named in /etc/firewalld/zones/mine.xml). " in refusal(host)


@pytest.mark.versions("1.3.3")
def test_a_saved_zone_that_is_broken(host: Daemon) -> None:
    host.host.shell("printf '<zone><service/></zone>' > /etc/firewalld/zones/mine.xml")
    assert refusal(host).startswith("firewalld cannot load its saved configuration: ")


# ---- between apply and confirm


@pytest.mark.versions("1.3.3")
@pytest.mark.parametrize("command", ["systemctl restart firewalld", "firewall-cmd --reload"])
@pytest.mark.parametrize("wanted", [OTHER_PEERS, OTHER_FLOWS], ids=["by calls", "by a reload"])
def test_what_does_not_run_any_more_is_not_confirmed(host: Daemon, wanted: Mapping[str, Any], command: str) -> None:
    apply(host)
    before, files = table_of(host), snapshot_of(host)
    result = host.module(policy=wanted)
    assert table_of(host) != before
    host.host.shell(command)
    host.wait_for_firewalld()
    assert host.module("firewall_confirm", token=result["pending"]["token"])["status"] == "altered"
    host.runs.undo_now()
    assert (table_of(host), snapshot_of(host)) == (before, files)
    assert not apply(host)["changed"]


# ---- drift

DRIFT = {
    "a rich rule": (
        'firewall-cmd --policy=hpc_ports_in --add-rich-rule=\'rule family="ipv4" source address="10.9.9.9" accept\'',
        ["policy hpc_ports_in"],
        False,
    ),
    "a port": ("firewall-cmd --policy=hpc_ports_in --add-port=9/tcp", ["policy hpc_ports_in"], True),
    "an entry added": (f"firewall-cmd --ipset={IPSET} --add-entry=10.9.9.0/24", [f"ipset {IPSET}"], False),
    "an entry removed": (f"firewall-cmd --ipset={IPSET} --remove-entry=10.64.2.1", [f"ipset {IPSET}"], False),
    "an element behind its back": (
        f"nft add element inet firewalld {IPSET} '{{ 10.9.9.0/24 }}'",
        [f"ipset {IPSET}"],
        True,
    ),
    "a chain flushed": (
        "nft flush chain inet firewalld filter_IN_policy_hpc_ports_in_allow",
        ["policy hpc_ports_in"],
        True,
    ),
}


# firewalld 2.3 owns its table: nobody else can change it.
NOT_OWNING = ("0.9.3", "1.3.3")
NOT_OWNED = pytest.mark.versions(*NOT_OWNING)


@NOT_OWNED
@pytest.mark.takes_turns
@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_seen_and_mended(host: Daemon, kind: str) -> None:
    command, names, reloads = DRIFT[kind]
    apply(host)
    before, files = table_of(host), snapshot_of(host)
    host.host.shell(command)
    assert table_of(host) != before
    handle = generation(host)
    result = apply(host)
    assert result["changes"]["objects"] == names
    assert (table_of(host), snapshot_of(host)) == (before, files)
    assert (generation(host) != handle) == reloads
    assert not apply(host)["changed"]


@NOT_OWNED
@pytest.mark.takes_turns
def test_all_rules_flushed(host: Daemon) -> None:
    apply(host)
    before = table_of(host)
    host.host.shell("nft flush ruleset")
    assert table_of(host) == ()
    assert apply(host)["changed"]
    assert table_of(host) == before
    assert not apply(host)["changed"]


# ---- the watch

# As long as firewalld lives, nobody else can flush its table from 2.0 on.
DIED_AND_FLUSHED = (
    "systemctl kill --signal=KILL firewalld; until systemctl is-failed --quiet firewalld; do sleep 0.05; "
    "done; nft flush ruleset"
)


def say_of_watch(host: Daemon) -> str:
    return host.host.shell("journalctl --sync; journalctl --quiet --output=cat --unit=hpc-ports-watch")


def wait_for_rules(host: Daemon, rules: tuple[str, ...]) -> None:
    """While firewalld starts, a listing may fail."""
    host.host.wait("nft list chain inet firewalld filter_IN_policy_hpc_ports_in")
    wait_until(lambda: table_of(host) == rules)


@pytest.mark.takes_turns
def test_what_is_flushed_comes_back_by_itself(host: Daemon) -> None:
    apply(host, watch=True)
    before = table_of(host)
    for how in (
        "nft flush ruleset",
        "systemctl restart firewalld",
        "firewall-cmd --quiet --reload",
        DIED_AND_FLUSHED,
        *(["nft flush table inet firewalld"] if host.version in NOT_OWNING else []),
    ):
        host.host.shell(f"systemctl reset-failed firewalld; {how}")  # systemd counts how often it is started
        wait_for_rules(host, before)
        host.wait_for_firewalld()
        assert not apply(host, watch=True)["changed"], how


@NOT_OWNED
@pytest.mark.takes_turns
def test_a_flush_undoes_a_change_that_awaits_its_confirmation(host: Daemon) -> None:
    apply(host, watch=True)
    before = table_of(host)
    for wanted in (OTHER_PEERS, OTHER_FLOWS):
        pending = host.module(policy=wanted, watch=True)["pending"]
        host.host.shell("nft flush ruleset")
        wait_for_rules(host, before)
        assert host.module("firewall_confirm", token=pending["token"])["status"] == "reverted"


@pytest.mark.takes_turns
def test_a_firewalld_that_somebody_stops_stays_stopped(host: Daemon) -> None:
    apply(host, watch=True)
    host.host.shell("systemctl stop firewalld")
    wait_until(
        lambda: "firewalld was stopped: until it is started, this host has of ours only the table" in say_of_watch(host)
    )
    assert host.host.run("systemctl", "is-active", "firewalld", check=False).stdout == "inactive\n"


@pytest.mark.takes_turns
def test_a_firewalld_that_cannot_load_its_rules_closes_the_host_and_opens_it_again(host: Daemon) -> None:
    """And one that loads them closes it until they are there."""
    apply(host, watch=True, boot_failure="closed")
    host.host.shell(DIED_AND_FLUSHED)
    wait_until(lambda: "The rules of firewalld are back." in say_of_watch(host))
    host.wait_for_firewalld()
    host.host.shell(
        "mv /etc/protocols /etc/protocols.gone; systemctl kill --signal=KILL firewalld; "
        "systemctl stop firewalld; mv /usr/sbin/nft /root; /root/nft flush ruleset; "
        "systemctl start firewalld || true; systemctl restart hpc-ports-watch"
    )
    try:
        wait_until(lambda: "Cannot load /etc/hpc-ports/closed-firewalld.nft: " in say_of_watch(host))
    finally:
        host.host.shell("mv /root/nft /usr/sbin")
    host.host.wait("nft list chain inet hpc_ports input")
    assert "in_management_ssh" in host.host.shell("nft list table inet hpc_ports")
    host.host.shell(
        "mv /etc/protocols.gone /etc/protocols; systemctl reset-failed firewalld; systemctl restart firewalld"
    )
    host.host.wait("nft list chain inet firewalld filter_IN_policy_hpc_ports_in")
    host.host.wait("! nft list table inet hpc_ports 2> /dev/null")
    assert not apply(host, watch=True, boot_failure="closed")["changed"]


# ---- check mode, diff, removal


@pytest.mark.versions("1.3.3")
@pytest.mark.parametrize("wanted", [OTHER_PEERS, OTHER_FLOWS], ids=["by calls", "by a reload"])
def test_check_mode_says_the_same_and_touches_nothing(host: Daemon, wanted: Mapping[str, Any]) -> None:
    apply(host)
    before, handle = everything(host), generation(host)
    told = host.module(policy=wanted, check=True, diff=True)
    assert (everything(host), generation(host)) == (before, handle)
    done = apply(host, wanted)
    assert [told[name] for name in ("changed", "changes", "diff")] == [
        done[name] for name in ("changed", "changes", "diff")
    ]


@pytest.mark.versions("1.3.3")
def test_the_diff_of_other_peers(host: Daemon) -> None:
    apply(host)
    result = apply(host, OTHER_PEERS)
    names = [f"hpc_ports_in_slurm_control_4{copy}" for copy in "ab"]
    assert result["changes"] == {
        "flows_added": [],
        "flows_removed": [],
        "ports_changed": {},
        "addresses_changed": {"in_slurm_control": {"added": ["10.64.2.2"], "removed": ["10.64.2.1"]}},
        "objects": [
            *(f"file /etc/firewalld/ipsets/{name}.xml" for name in names),
            "file /etc/hpc-ports/published.nft",
            *(f"ipset {name}" for name in names),
            "published set in_slurm_control_v4",
        ],
    }
    assert result["diff"]["before"].replace("10.64.2.1", "10.64.2.2") == result["diff"]["after"]
    elements = "    element 10.64.0.0/24\n    element 10.64.2.2\n"
    assert "".join(f"ipset {name}:\n{elements}" for name in names) in result["diff"]["after"]
    assert (
        f"published set in_slurm_control_v4:\n    type ipv4_addr\n    flags interval\n{elements}"
        in result["diff"]["after"]
    )


@pytest.mark.takes_turns
def test_removal_leaves_the_host_as_it_was(host: Daemon) -> None:
    host.host.shell("firewall-cmd --permanent --add-service=http; firewall-cmd --reload")
    before = everything(host)
    apply(host)
    told = host.module(state="absent", check=True, diff=True)
    done = host.module(state="absent", diff=True)
    assert done["changed"] and [told[name] for name in ("changes", "diff")] == [
        done[name] for name in ("changes", "diff")
    ]
    assert everything(host) == before
    assert not host.module(state="absent")["changed"]
