# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports in the configuration of NFS-Ganesha."""

from __future__ import annotations

import re

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._services.ganesha import with_ganesha_ports
from hypothesis import given
from hypothesis import strategies as st

PORTS = {"NFS_Port": 2049, "MNT_Port": 20048}
BLOCK = "NFS_CORE_PARAM {\n    NFS_Port = 2049;\n    MNT_Port = 20048;\n}\n"
BY_HAND = "Edit the ports in the file by hand, and set nfs_pin_ports to false"
EXPORT = "EXPORT\n{\n    Export_Id = 1; # NFS_Port = 1;\n    FSAL { Name = VFS; NFS_Port = 2; }\n}\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", BLOCK),
        (EXPORT, EXPORT + BLOCK),
        ("LOG { }", "LOG { }\n" + BLOCK),
        (EXPORT + BLOCK, EXPORT + BLOCK),
        ("LOG { NFS_CORE_PARAM { } }\n", "LOG { NFS_CORE_PARAM { } }\n" + BLOCK),
        ("#NFS_CORE_PARAM { NFS_Port = 1; }\n", "#NFS_CORE_PARAM { NFS_Port = 1; }\n" + BLOCK),
        (
            "NFS_Core_Param\n{\n\tnfs_port=12049 ; # ours\n\tNb_Worker = 8;\n}\n",
            "NFS_Core_Param\n{\n    MNT_Port = 20048;\n\tnfs_port=2049 ; # ours\n\tNb_Worker = 8;\n}\n",
        ),
        ("NFS_CORE_PARAM { # here\n}", "NFS_CORE_PARAM { # here\n    NFS_Port = 2049;\n    MNT_Port = 20048;\n}"),
        ("NFS_CORE_PARAM { NFS_Port = 0x801; MNT_Port = 1; }", "NFS_CORE_PARAM { NFS_Port = 2049; MNT_Port = 20048; }"),
        ("NFS_CORE_PARAM {}", "NFS_CORE_PARAM { NFS_Port = 2049; MNT_Port = 20048;}"),
        ("NFS_CORE_PARAM{MNT_Port=1;}", "NFS_CORE_PARAM{ NFS_Port = 2049;MNT_Port=20048;}"),
        (
            'NFS_CORE_PARAM { Plugins_Dir = "/a;}NFS_Port=1"; NFS_Port\n= # 1;\n 1; }',
            'NFS_CORE_PARAM { MNT_Port = 20048; Plugins_Dir = "/a;}NFS_Port=1"; NFS_Port\n= # 1;\n 2049; }',
        ),
        (
            "%include other.conf\nNFS_CORE_PARAM { NFS_Port = 1; MNT_Port = 2; }",
            "%include other.conf\nNFS_CORE_PARAM { NFS_Port = 2049; MNT_Port = 20048; }",
        ),
        (
            "NFS_CORE_PARAM { HAProxy_Hosts = a, b; NFS_Port = 1; MNT_Port = 2; More { NFS_Port = 3; } }",
            "NFS_CORE_PARAM { HAProxy_Hosts = a, b; NFS_Port = 2049; MNT_Port = 20048; More { NFS_Port = 3; } }",
        ),
    ],
)
def test_with_ganesha_ports(text: str, wanted: str) -> None:
    assert with_ganesha_ports(text, PORTS) == wanted
    assert with_ganesha_ports(wanted, PORTS) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "NFS_CORE_PARAM { }\nnfs_core_param { }",
            "got 2 blocks NFS_CORE_PARAM, expected one: NFS-Ganesha uses only the last one. Merge them into one block",
        ),
        (
            '%dir "/etc/ganesha/conf.d"\n',
            "got %dir and no block NFS_CORE_PARAM, expected the block in this file: there may be only one, and an "
            "included file may contain it. Set nfs_ganesha_config_path to the file with the block, or move the block "
            "here",
        ),
        (
            "NFS_CORE_PARAM { NFS_Port = 1; NFS_PORT = 1; }",
            "got NFS_PORT more than once in NFS_CORE_PARAM, expected it once: it is not clear which one NFS-Ganesha "
            "uses. Delete the others",
        ),
        ("NFS_CORE_PARAM { NFS_Port = 1, 2; }", "got '1 , 2' for NFS_Port of NFS_CORE_PARAM, expected one number"),
        ("NFS_CORE_PARAM { NFS_Port = ; }", "got '' for NFS_Port of NFS_CORE_PARAM, expected one number"),
        ("NFS_CORE_PARAM { NFS_Port = 1 }", "got NFS_Port without a ';' after its value, expected one"),
        ("NFS_CORE_PARAM { NFS_Port = 1 MNT_Port = 2; }", "got NFS_Port without a ';' after its value, expected one"),
        ("LOG {\n", f"got braces that do not match, expected a '}}' for each '{{'. {BY_HAND}"),
        ("LOG {}}{", f"got braces that do not match, expected a '}}' for each '{{'. {BY_HAND}"),
        ('LOG {\n A = "b; }', f"got '\"' in line 2, expected a closing quote. {BY_HAND}"),
    ],
)
def test_texts_that_cannot_be_edited_safely(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        with_ganesha_ports(text, PORTS)
    assert str(caught.value) == message


SPACE = st.sampled_from(["", " ", "\n", " # NFS_Port = 1; }\n", "\t"])
VALUES = st.sampled_from(["1", "0x801", '"a;{b"', "'}'", "/export", "a, b", "*"])
OPTION = st.builds("{}Opt{}={}{}{};".format, SPACE, SPACE, SPACE, VALUES, SPACE)
OTHER = st.builds("{}EXPORT{} {{{}{}}}".format, SPACE, SPACE, st.lists(OPTION, max_size=3).map("".join), SPACE)
# As {0} and {1} stand the ports in a template, and braces twice.
OURS = st.tuples(st.sampled_from([("NFS_Port", "{0}"), ("mnt_port", "{1}")]), SPACE, SPACE, SPACE, SPACE).map(
    lambda drawn: f"{drawn[1]}{drawn[0][0]}{drawn[2]}={drawn[3]}{drawn[0][1]}{drawn[4]};"
)


def doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A configuration with the block, in which the values of our options are {0} and {1}."""
    ours = draw(st.lists(OURS, max_size=2, unique_by=lambda option: "{0}" in option))
    own = draw(st.permutations([*map(doubled, draw(st.lists(OPTION, max_size=2))), *map(commented, ours)]))
    before, after = (doubled("".join(part)) for part in draw(st.tuples(*[st.lists(OTHER, max_size=2)] * 2)))
    return f"{before}\nNFS_Core_Param {{{{{''.join(own)}}}}}{after}"


def commented(option: str) -> str:
    return option.replace("; }", "; }}")


@given(templates(), st.integers(2, 65535), st.integers(2, 65535))
def test_nothing_but_the_ports_changes(template: str, nfs: int, mnt: int) -> None:
    text = with_ganesha_ports(template.format(1, 2), {"NFS_Port": nfs, "MNT_Port": mnt})
    assert with_ganesha_ports(text, {"NFS_Port": nfs, "MNT_Port": mnt}) == text
    for mark, added in (("{0}", f"NFS_Port = {nfs};"), ("{1}", f"MNT_Port = {mnt};")):
        if mark not in template:
            text = re.sub(rf"(?:    {added}\n| {added})", "", text, count=1)
    assert text == template.format(nfs, mnt)
