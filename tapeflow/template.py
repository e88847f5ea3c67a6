"""The settings file that `tapeflow init` writes: every setting with its meaning and default, commented out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

HEAD = """\
## Settings of tapeflow. Lines with `# ` are the defaults: remove it, and from the lines this one belongs to, to change one.
## A variable does the same: TAPEFLOW_PORTS__DAGSTER=3001. Secrets belong in the environment or in .env only.
"""


def template() -> str:
    """Return the file; it follows from the settings' model, so that it cannot differ from it."""
    return HEAD + "".join(f"{line}\n" for line in _part(Settings.model_construct(), 0))


def _part(part: BaseModel, depth: int) -> Iterator[str]:
    indent = "  " * depth
    plain = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if depth == 0:
            yield ""
        about = field.description or _summary(value)
        if about:
            yield f"## {indent}{about}"
        if field.validate_default:  # a word that stands for more
            yield f"# {indent}{name}: {_yaml(field.default)}"
        elif isinstance(value, BaseModel):
            yield f"# {indent}{name}:"
            yield from _part(value, depth + 1)
        elif isinstance(value, dict) and value:
            yield f"# {indent}{name}:"
            for key, item in value.items():
                yield f"# {indent}  {key}:"
                yield from _part(item, depth + 2)
        else:
            yield f"# {indent}{name}: {_yaml(plain[name])}{_limits(field)}"


def _limits(field: FieldInfo) -> str:
    """Return what a setting may be, as a comment behind its value."""
    if get_origin(field.annotation) is Literal:
        limits = [" or ".join(map(str, get_args(field.annotation)))]
    else:
        limits = [
            f"{word} {getattr(rule, bound)}"
            for rule in field.metadata
            for bound, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"))
            if getattr(rule, bound, None) is not None
        ]
    return f"  # {', '.join(limits)}" if limits else ""


def _summary(value: Any) -> str:
    """Return the first line of the docstring of a part of the settings, or of the parts in a mapping."""
    kind = next(iter(value.values())) if isinstance(value, dict) and value else value
    return (type(kind).__doc__ or "").partition("\n")[0].rstrip(".") if isinstance(kind, BaseModel) else ""


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
