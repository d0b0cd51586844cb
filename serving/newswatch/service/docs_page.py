"""The page at /docs: the API's routes for people, from its own schema, without a script or an outside address."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{overflow:auto;padding:.8rem;border:1px solid #8886;border-radius:4px}h2{margin-top:2.5rem}"
)


def render_docs(schema: Mapping[str, Any]) -> str:
    """An HTML page of an OpenAPI schema."""
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    body = "".join(
        part
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        for part in _operation(schema, path, method, operation)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f'<h1>{title}</h1><p>{escape(schema["info"]["description"])} <a href="/openapi.json">The schema as JSON</a>.</p>{body}</html>'
    )


def _operation(schema: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    if operation.get("security"):
        yield "<p>With the header <code>Authorization: Bearer KEY</code>, where the service has keys.</p>"
    if parameters := operation.get("parameters"):
        rows = "".join(f"<li><code>{escape(one['name'])}</code>: {escape(one.get('description', ''))}</li>" for one in parameters)
        yield f"<ul>{rows}</ul>"
    for named, content in (("Body", operation.get("requestBody", {})), ("Answer", operation.get("responses", {}).get("200", {}))):
        if fields := _named(schema, content):
            yield f"<p>{named}: {escape(fields.get('description', ''))}</p>"
            shown = fields.get("examples") or [{name: _kind(field) for name, field in fields.get("properties", {}).items()}]
            yield f"<pre>{escape(json.dumps(shown[0], indent=1, ensure_ascii=False))}</pre>"


def _named(schema: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """The component that a body or an answer refers to."""
    reference = content.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    return schema["components"]["schemas"].get(reference.rpartition("/")[2], {})  # type: ignore[no-any-return]


def _kind(field: Mapping[str, Any]) -> str:
    return str(field.get("type") or "/".join(str(one.get("type", "object")) for one in field.get("anyOf", [])) or "object")
