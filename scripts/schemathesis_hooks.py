"""Teaches schemathesis newline-delimited JSON, the media type of bulk commands."""

import json

import schemathesis

MEDIA_TYPE = "application/x-ndjson"


@schemathesis.serializer(MEDIA_TYPE)
def lines(_context, value):
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@schemathesis.deserializer(MEDIA_TYPE)
def outcomes(_context, response):
    """The first outcome: its schema is the schema of every line."""
    first = next(iter(response.content.splitlines()), b"null")
    return json.loads(first)


@schemathesis.hook
def map_query(_context, query):
    """Nobody waits for events that do not come: it would take half a minute each time."""
    if query and "wait" in query:
        query["wait"] = 0
    return query
