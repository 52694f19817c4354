# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that containers ask for: of Docker's own servers, and of Podman's, which listens on the host."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.containers.connections import answer
from ansible_collections.hpc.ports.tests.containers.sites import Site

# What the DNS server of the peer has for each name.
_OTHER = "10.64.0.7"


def wrong_names(site: Site) -> dict[str, str]:
    """Return the questions of containers that get another answer than they should; empty for none."""
    default, project = site.docker.inner("client"), site.docker.inner("other")
    questions = {
        "other hosts, from the default network": (default, "10.64.0.53", "login.example", _OTHER),
        "other hosts, from a project": (project, "127.0.0.11", "login.example", _OTHER),
        "a container, from its project": (project, "127.0.0.11", "pod", site.pod[4]),
    }
    for number, netavark in enumerate(site.netavark):
        for name, address in ((netavark.name, netavark.addresses[4]), ("login.example", _OTHER)):
            questions[f"{name}, from {netavark.name}"] = (netavark.inner, f"10.88.{number}.1", name, address)
    got = {about: answer(space, server, name) for about, (space, server, name, _address) in questions.items()}
    return {about: address for about, address in got.items() if address != questions[about][-1]}
