-- How far history has been carried to Kafka, and who carries it.
CREATE TABLE es.relay (
    -- The prefix of the topics' names: one generation of topics, with one partition count for its whole life.
    name            text        PRIMARY KEY,
    partitions      integer     NOT NULL CHECK (partitions > 0),
    -- Raised each time the lease changes hands; a write that names an older one changes nothing.
    epoch           bigint      NOT NULL DEFAULT 0,
    holder          uuid,
    lease_until     timestamptz NOT NULL DEFAULT '-infinity',
    -- Kafka has acknowledged every event up to here, and this is the leaf hash of the event that stands here.
    position        bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    leaf_hash       bytea       CHECK (octet_length(leaf_hash) = 32),
    -- Topic suffix to the position of the last event in each of its partitions: what the next record there names as
    -- the one before it.
    last_positions  jsonb       NOT NULL DEFAULT '{}',
    CHECK ((position = 0) = (leaf_hash IS NULL))
);
COMMENT ON TABLE es.relay IS 'Checkpoint and lease of the relay from history to Kafka; one row for each generation of topics.';

-- A relay reads history and writes nothing but its own row. It has a group role of its own, made as the others are:
-- another database of the server may have made it, and where we may not make roles the owner's login serves.
DO $$
BEGIN
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_relay') THEN
            CREATE ROLE guildhall_relay NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN RETURN;
    END;
    GRANT USAGE ON SCHEMA es TO guildhall_relay;
    GRANT SELECT ON es.event, es.stream TO guildhall_relay;
    GRANT SELECT, INSERT, UPDATE ON es.relay TO guildhall_relay;
END $$;
