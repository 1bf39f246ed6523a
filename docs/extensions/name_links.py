"""A Sphinx extension that links names of the package in pages to the reference."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"(?:exvae(?:\.\w+)+|IsoformModel|TopicModel|Corpus)(?:\.\w+)*(?=\(|$)")


class LinkNames(SphinxPostTransform):
    """Make references of names such as ``exvae.models.lda.LDA`` that stand in backquotes."""

    default_priority = 400

    def run(self, **options: Any) -> None:
        """Replace literals of a document that name something in the reference."""
        known = self.env.domains.python_domain.objects
        for node in list(self.document.findall(nodes.literal)):
            if isinstance(node.parent, nodes.reference):
                continue
            match = NAME.match(node.astext())
            if not match:
                continue
            name = match[0] if match[0].startswith("exvae.") else f"exvae.{match[0]}"
            if name in known:
                entry = known[name]
                link = make_refnode(
                    self.app.builder, self.env.docname, entry.docname, entry.node_id, node.copy()
                )
                link[0] += nodes.Text(node.astext())
                node.replace_self(link)


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
