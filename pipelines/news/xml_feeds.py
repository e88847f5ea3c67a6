"""RSS (0.9 to 2.0, and RDF) and Atom: bodies to items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from pipelines.news.item import Item, item

_DC: Final = "{http://purl.org/dc/elements/1.1/}"
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CONTENT: Final = "{http://purl.org/rss/1.0/modules/content/}encoded"


def read(body: bytes) -> Iterator[Item | None]:
    """Yield the items of a body; None where nothing of one can be shown.

    Raises
    ------
    ValueError
        If it is no feed, or declares a document type: only such a one can hold entities that grow or read files.
    """
    try:
        root = fromstring(body.strip(), forbid_dtd=True)
    except DefusedXmlException:
        raise ValueError("it declares a document type, which may expand entities") from None
    except (ParseError, LookupError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no XML: {error}") from None
    space = _space(root)
    name = root.tag.removeprefix(space)
    if name == "feed":
        found = root.iterfind(f"{space}entry")
    elif name == "rss":
        if root.find(f"{space}channel") is None:
            raise ValueError("it is no feed: it has no channel")
        found = root.iterfind(f"{space}channel/{space}item")
    elif root.tag == f"{_RDF}RDF":
        found = (child for child in root if child.tag.removeprefix(_space(child)) == "item")
    else:
        raise ValueError(f"it is no feed: its root is <{name[:40]}>")
    for part, element in enumerate(found):
        yield _entry(part, element) if name == "feed" else _item(part, element)


def _entry(part: int, element: Any) -> Item | None:
    said, space = _children(element), _space(element)
    links = [c for c in element if c.tag == f"{space}link"]
    link = next((c.get("href", "") for c in links if c.get("rel", "alternate") == "alternate"), "")
    return item(
        part,
        own_id=_text(said, f"{space}id"),
        title=_text(said, f"{space}title"),
        summary=_text(said, f"{space}summary", f"{space}content"),
        link=link,
        date=_text(said, f"{space}published", f"{space}updated", f"{space}issued", f"{space}modified"),
        source=_text(_children(said[f"{space}source"]), f"{space}title") if f"{space}source" in said else "",
    )


def _item(part: int, element: Any) -> Item | None:
    said, space = _children(element), _space(element)
    permanent = said.get(f"{space}guid")
    own_id = _text(said, f"{space}guid") or element.get(f"{_RDF}about", "")
    link = _text(said, f"{space}link")
    if not link and permanent is not None and permanent.get("isPermaLink", "true") == "true":
        link = own_id
    return item(
        part,
        own_id=own_id,
        title=_text(said, f"{space}title"),
        summary=_text(said, f"{space}description", _CONTENT),
        link=link,
        date=_text(said, f"{space}pubDate", f"{_DC}date"),
        source=_text(said, f"{space}source"),
    )


def _space(element: Any) -> str:
    """Return the namespace of an element, in braces; empty where it has none."""
    space, brace, _ = element.tag.rpartition("}")
    return str(space + brace)


def _children(element: Any) -> dict[str, Any]:
    """Return the first child of each name."""
    return {child.tag: child for child in reversed(element)}


def _text(said: dict[str, Any], *names: str) -> str:
    """Return the text of the first of the children that has any."""
    for name in names:
        if name in said and (text := "".join(said[name].itertext()).strip()):
            return text
    return ""
