"""A channel of the local Slack server as a page, to be looked at: who said what, threads opened, pictures shown."""

from __future__ import annotations

import base64
import datetime as dt
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.slack_server import Workspace

STYLE = """
body{margin:0;font:15px/1.46 Lato,"Segoe UI",Helvetica,Arial,sans-serif;color:#1d1c1d;display:flex;background:#fff}
nav{width:220px;min-height:100vh;background:#3f0e40;color:#cfc3cf;padding:16px 0}
nav b{display:block;color:#fff;padding:0 16px 14px;font-size:18px}
nav span{display:block;padding:3px 16px}
nav .on{background:#1164a3;color:#fff}
main{flex:1;max-width:900px}
h1{font-size:18px;margin:0;padding:14px 20px;border-bottom:1px solid #ddd}
.post{display:flex;padding:8px 20px}
.who{width:36px;height:36px;border-radius:6px;background:#0b7a75;color:#fff;font-weight:700;text-align:center;line-height:36px}
.what{margin-left:10px;flex:1;min-width:0}
.name{font-weight:900}
.app{background:#eee;color:#616061;font-size:10px;font-weight:700;padding:1px 3px;border-radius:2px;margin:0 6px}
.at{color:#616061;font-size:12px}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 6px}
.head{font-size:18px;font-weight:900;margin:4px 0}
.note{color:#616061;font-size:12.5px}
.thread{margin-left:56px;border-left:3px solid #ddd}
.replies{color:#1264a3;font-size:13px;font-weight:700;margin:0 20px 0 66px}
img{max-width:520px;border:1px solid #ddd;border-radius:8px;display:block}
hr{border:0;border-top:1px solid #ddd}
"""


def page(space: Workspace, channel: str) -> str:
    """Return a channel as HTML."""
    names = "".join(f'<span class="{"on" if one == channel else ""}"># {escape(n)}</span>' for one, n in space.channels.items())
    posts = []
    for head in (post for post in space.heads() if post["channel"] == channel):
        replies = space.thread(head["ts"])
        posts.append(_post(space, head))
        if replies:
            posts.append(f'<div class="replies">{len(replies)} replies</div><div class="thread">')
            posts += [_post(space, reply) for reply in replies]
            posts.append("</div>")
    return (
        f'<!doctype html><meta charset="utf-8"><title>#{escape(space.channels.get(channel, "?"))}</title><style>{STYLE}</style>'
        f"<nav><b>Made-up</b>{names}</nav><main><h1># {escape(space.channels.get(channel, '?'))}</h1>{''.join(posts)}</main>"
    )


def _post(space: Workspace, post: dict[str, Any]) -> str:
    at = dt.datetime.fromtimestamp(post["at"], dt.UTC)
    shown = (
        "".join(_block(block) for block in post.get("blocks") or []) or f'<div class="text">{escape(post.get("text", ""))}</div>'
    )
    for file in post.get("files", ()):
        image = base64.b64encode(space.files[file["id"]]["content"]).decode()
        alt, title = escape(space.files[file["id"]].get("alt") or ""), escape(file["title"] or file["name"])
        shown += f'<div class="note">{title}</div><img alt="{alt}" src="data:image/png;base64,{image}">'
    return (
        '<div class="post"><div class="who">t</div><div class="what"><span class="name">tapeflow</span>'
        f'<span class="app">APP</span><span class="at">{at:%H:%M:%S}</span>{shown}</div></div>'
    )


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f'<div class="head">{escape(block["text"]["text"])}</div>'
        case "section":
            return f'<div class="text">{escape(block["text"]["text"])}</div>'
        case "context":
            return "".join(f'<div class="note">{escape(one["text"])}</div>' for one in block["elements"])
    return "<hr>"
