-- Where partners want to be told of events, how far each was told, and what came of it.
CREATE SCHEMA IF NOT EXISTS webhook;

CREATE TABLE webhook.endpoint (
    id              uuid        PRIMARY KEY,
    tenant_id       uuid        NOT NULL,
    url             text        NOT NULL CHECK (url <> ''),
    -- None: events of all categories.
    categories      text[]      NOT NULL,
    description     text        NOT NULL,
    created_at      timestamptz NOT NULL,
    -- What signs: sealed under the key-encryption key. The one before it signs as well until it is dropped.
    secret          bytea       NOT NULL,
    previous_secret bytea,
    previous_until  timestamptz,
    -- Everything for the endpoint up to here was delivered. Its association's last event, when that was looked at last.
    position        bigint      NOT NULL CHECK (position >= 0),
    tail            bigint      NOT NULL CHECK (tail >= 0),
    behind_since    timestamptz,
    -- How often in a row it has failed to take the next event, and when that is tried again.
    failures        integer     NOT NULL DEFAULT 0 CHECK (failures >= 0),
    retry_at        timestamptz NOT NULL DEFAULT '-infinity',
    disabled_at     timestamptz,
    disabled_reason text,
    -- Raised whenever somebody else delivers or the endpoint is changed; a write that names an older one changes nothing.
    epoch           bigint      NOT NULL DEFAULT 0,
    lease_until     timestamptz NOT NULL DEFAULT '-infinity',
    attempts        bigint      NOT NULL DEFAULT 0,
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON TABLE webhook.endpoint IS 'Where partners are told of events, and how far each was told.';
-- The endpoints of one association.
CREATE INDEX endpoint_of_tenant ON webhook.endpoint (tenant_id, id);
-- Those for which there is something to do.
CREATE INDEX endpoint_behind ON webhook.endpoint (lease_until) WHERE disabled_at IS NULL AND position < tail;

-- What came of each attempt. Kept for a while, for people; nothing depends on it.
CREATE TABLE webhook.delivery (
    endpoint_id  uuid        NOT NULL REFERENCES webhook.endpoint ON DELETE CASCADE,
    number       bigint      NOT NULL CHECK (number > 0),
    attempted_at timestamptz NOT NULL,
    message_id   text        NOT NULL,
    type         text        NOT NULL,
    position     bigint      NOT NULL CHECK (position > 0),
    attempt      integer     NOT NULL CHECK (attempt > 0),
    delivered    boolean     NOT NULL,
    status       smallint,
    detail       text        NOT NULL,
    millis       integer     NOT NULL CHECK (millis >= 0),
    PRIMARY KEY (endpoint_id, number)
);
-- For dropping what is old.
CREATE INDEX delivery_by_time ON webhook.delivery (attempted_at);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_writer') THEN
        GRANT USAGE ON SCHEMA webhook TO guildhall_writer;
        GRANT SELECT, INSERT, UPDATE, DELETE ON webhook.endpoint, webhook.delivery TO guildhall_writer;
    END IF;
END $$;
