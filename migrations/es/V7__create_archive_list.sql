-- What was taken out of the database, and how to know it again. The last event of every stream stays, in a partition of
-- the same name: so every version check finds the version it looks for, and costs nothing more than before.
CREATE TABLE es.archived (
    partition_name text        PRIMARY KEY,
    first_position bigint      NOT NULL CHECK (first_position > 0),
    last_position  bigint      NOT NULL CHECK (last_position >= first_position),
    archived_at    timestamptz NOT NULL DEFAULT now(),
    -- What the archive must be, byte for byte, to be attached again.
    manifest       jsonb       NOT NULL
);
COMMENT ON TABLE es.archived IS 'Positions of which only the last event of each stream is here; the rest lies in an archive.';

DO $$
DECLARE login text;
BEGIN
    FOREACH login IN ARRAY ARRAY['guildhall_writer', 'guildhall_reader', 'guildhall_relay'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('GRANT SELECT ON es.archived TO %I', login);
        END IF;
    END LOOP;
END $$;
