# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Sphinx for dev/docs. Nothing is fetched: neither by the build nor by the pages.

The Markdown pages are those of the repository, with their relative links. A link to a file that is no page leads to the
documentation of the plugin in this file, to a copy, or to the file on the forge.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["repository"]

project = "hpc.ports"
author = "the hpc.ports authors"
project_copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
root_doc = "index"
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
highlight_language = "yaml+jinja"
# As on the forge.
myst_heading_anchors = 4
nitpicky = True
nitpick_ignore_regex = [("envvar", "ANSIBLE_.*")]

# Labels of Ansible's own documentation, which antsibull-docs names.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
LABELS = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "action_plugins": "plugins/action.html",
    "callback_plugins": "plugins/callback.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "ansible_collections.ansible.builtin.default_callback": "collections/ansible/builtin/default_callback.html",
}
LINK = re.compile(r"(?<!!)\]\(([^)\s#]+)(#[^)\s]*)?\)")
# What antsibull-docs writes at the top of a page; the theme has it beside the page.
CONTENTS = re.compile(r"^\.\. contents::\n(?:   .+\n)+", re.MULTILINE)
LISTS = re.compile(r"^@(.+)@$", re.MULTILINE)
PLUGIN = re.compile(r"plugins/(module|filter|callback)s?/(\w+)\.py")


def adapted(app: Any, docname: str, source: list[str]) -> None:
    """Adapt a page that was written for another place to the site."""
    if docname.startswith("collections/"):
        source[0] = CONTENTS.sub("", source[0])
    elif docname == root_doc:
        index = source[0]
        source[0] = LISTS.sub(lambda match: "\n".join(_listed(match[1], index)), index)
    else:
        source[0] = _with_links(app, docname, source[0])


def _listed(section: str, index: str) -> list[str]:
    """Return the pages in the table of a section of docs/README.md, without those that the index names itself."""
    manual = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    table = manual.partition(f"\n## {section}\n")[2].strip().partition("\n\n")[0]
    names = [f"docs/{name}" for name in re.findall(r"^\| \[.+?\]\(([\w./-]+)\.md\)", table, re.MULTILINE)]
    return [name for name in names if not re.search(rf"\b{name}\b", index)]


def _with_links(app: Any, docname: str, text: str) -> str:
    """Return a page with other links to files that are no pages."""
    folder = posixpath.dirname(docname)

    def link(match: re.Match[str]) -> str:
        own = re.match(re.escape(REPOSITORY) + r"/(?:blob|tree)/main/(.+)", match[1])
        path = own[1] if own else posixpath.normpath(posixpath.join(folder, match[1]))
        # Sphinx reports what does not exist.
        is_here = (own or ":" not in match[1]) and (ROOT / path).exists()
        return f"]({_target(app, folder, path)}{match[2] or ''})" if is_here else match[0]

    return LINK.sub(link, text)


def _target(app: Any, folder: str, path: str) -> str:
    """Return where a link to a file or folder of the repository leads from a page in a folder."""
    page, is_folder = path, (ROOT / path).is_dir()
    if plugin := PLUGIN.fullmatch(path):
        page = f"collections/{plugin[2]}_{plugin[1]}.rst"
    elif is_folder:
        page = posixpath.join(path, "README.md")
    if (Path(app.srcdir) / page).exists():
        return posixpath.relpath(page, folder or ".")
    return f"{REPOSITORY}/{'tree' if is_folder else 'blob'}/main/{path}"


def of_ansible(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Return a link to Ansible's documentation for one of its labels."""
    page = LABELS.get(node.get("reftarget", ""))
    if not page:
        return None
    reference = nodes.reference("", "", internal=False, refuri=ANSIBLE + page)
    reference.append(contnode)
    return reference


def setup(app: Any) -> None:
    """Register the changes."""
    app.connect("source-read", adapted)
    app.connect("missing-reference", of_ansible)
