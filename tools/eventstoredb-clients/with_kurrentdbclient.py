"""Reads a demo's history with kurrentdbclient, and compares it with what the HTTP API says.

Needs EVENTSTOREDB (host and port), EVENTSTOREDB_CA (the certificate to trust), URL, TOKEN (an auditor's who may send
commands as well) and OTHERS_STREAM (a stream of another association); `make eventstoredb-clients` gives them.
"""

import json
import os
import urllib.request

from kurrentdbclient import KurrentDBClient, NewEvent
from kurrentdbclient.events import CaughtUp, Checkpoint
from kurrentdbclient.exceptions import AccessDeniedError, NotFoundError, UnauthenticatedError

TOKEN = os.environ["TOKEN"]
PATIENCE = 30


def connected(user="auditor", token=TOKEN):
    address, trusted = os.environ["EVENTSTOREDB"], os.environ["EVENTSTOREDB_CA"]
    return KurrentDBClient(f"kurrentdb://{user}:{token}@{address}?tls=true&tlsCaFile={trusted}")


def asked(path, body=None, headers=None):
    """What the HTTP API answers."""
    headers = {"Authorization": f"Bearer {TOKEN}"} | (headers or {})
    request = urllib.request.Request(os.environ["URL"] + path, headers=headers, data=body)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


def records():
    """The association's history by the HTTP API."""
    after = 0
    while after is not None:
        page = json.loads(asked(f"/v1/records?limit=200&after={after}"))
        yield from page["data"]
        after = page.get("next")


def is_refused(read, *errors):
    try:
        read()
    except errors:
        return True
    return False


def history(client):
    """Forwards, backwards and by the HTTP API it is the same."""
    forwards, backwards = client.read_all(), client.read_all(backwards=True)
    forwards, backwards = list(forwards), list(backwards)
    assert forwards == backwards[::-1]
    by_http = list(records())
    assert [(str(e.id), e.commit_position, e.stream_name, e.stream_position + 1, e.type) for e in forwards] == [
        (r["event_id"], r["position"], r["stream"], r["version"], r["type"]) for r in by_http
    ]
    for event, record in zip(forwards, by_http):
        assert json.loads(event.data) == record["payload"]
        metadata = json.loads(event.metadata)
        assert metadata["guildhall"]["leaf_hash"] == record["leaf_hash"]
        assert record["metadata"].items() <= metadata.items()
        assert event.content_type == "application/json" and event.recorded_at is not None
    assert client.get_commit_position() == forwards[-1].commit_position
    middle = len(forwards) // 2
    at = forwards[middle].commit_position
    assert list(client.read_all(commit_position=at)) == forwards[middle:]
    assert list(client.read_all(commit_position=at, backwards=True, limit=5)) == forwards[middle - 5 : middle][::-1]
    print(f"  $all: {len(forwards)} events, the same forwards, backwards and by the HTTP API")
    return forwards


def one_stream(client, everything):
    name = next(event.stream_name for event in everything if event.stream_name.startswith("member-"))
    expected = [event for event in everything if event.stream_name == name]
    assert list(client.get_stream(name)) == expected
    assert list(client.get_stream(name, backwards=True)) == expected[::-1]
    assert list(client.get_stream(name, stream_position=1)) == expected[1:]
    print(f"  {name}: {len(expected)} events")
    return name


def subscription(client, everything, stream):
    """Catches up with a filter, says how far it has looked, and gets what is recorded then."""
    expected = [event for event in everything if event.stream_name.startswith("member-")]
    found, checkpoints, sent = [], 0, False
    with client.subscribe_to_all(
        filter_include=[r"member-.*"],
        filter_by_stream_name=True,
        include_checkpoints=True,
        include_caught_up=True,
        window_size=2,
        checkpoint_interval_multiplier=1,
        timeout=PATIENCE,
    ) as subscription:
        for event in subscription:
            if isinstance(event, Checkpoint):
                checkpoints += 1
            elif isinstance(event, CaughtUp):
                assert found == expected and checkpoints > 1
                assert event.commit_position == everything[-1].commit_position
                line = {
                    "command": "AddCredential",
                    "idempotency_key": "eventstoredb-clients",
                    "body": {"member_id": stream.removeprefix("member-"), "credential": "AUD"},
                }
                outcome = asked("/v1/commands", json.dumps(line).encode(), {"Content-Type": "application/x-ndjson"})
                assert '"AUD"' in outcome or '"receipt"' in outcome or '"position"' in outcome, outcome
                sent = True
            elif sent:
                assert (event.stream_name, event.type) == (stream, "CredentialAdded"), event
                break
            else:
                found.append(event)
    print(f"  a filtered subscription: {len(found)} events, {checkpoints} checkpoints, and then what was new")


def personal_data(client, stream):
    name = lambda client: json.loads(client.get_stream(stream, limit=1)[0].data)["name"]
    assert name(client).startswith("gp1."), "personal data is sealed"
    assert name(connected(user="open"))["display"], "and opened for who asks"
    print("  personal data is sealed, and opened for the user `open`")


def refusals(client):
    for stream in (os.environ["OTHERS_STREAM"], "member-0198c0de-0000-7000-8000-0000000000ff"):
        for backwards in (False, True):
            assert is_refused(lambda: client.get_stream(stream, backwards=backwards), NotFoundError)
    forged = TOKEN[:-8] + ("x" if TOKEN[-8] != "x" else "y") + TOKEN[-7:]
    for wrong in ("not-a-token", forged):
        stranger = connected(token=wrong)
        assert is_refused(lambda: list(stranger.read_all()), UnauthenticatedError)
    event = NewEvent("Forged", b"{}")
    assert is_refused(lambda: client.append_to_stream(stream, current_version=0, events=[event]), AccessDeniedError)
    print("  another association's stream is not found, a wrong token and an append are refused")


client = connected()
everything = history(client)
stream = one_stream(client, everything)
subscription(client, everything, stream)
personal_data(client, stream)
refusals(client)
