-- Folded states, so that a long stream need not be read from its first event. A cache and not history: one row for each
-- stream, replaced by later ones, and lost without harm. Personal data in a state is sealed as it is in the events.
CREATE TABLE es.snapshot (
    stream_key  bigint      PRIMARY KEY,
    version     bigint      NOT NULL CHECK (version > 0),
    -- What folded it. A program that folds otherwise reads the events instead.
    fingerprint bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- A keyed hash over all of it. Without the key-encryption key nobody can put a state here that is believed.
    seal        bytea       NOT NULL CHECK (octet_length(seal) = 32),
    taken_at    timestamptz NOT NULL,
    state       bytea       NOT NULL
);
COMMENT ON TABLE es.snapshot IS 'The latest kept state of long streams; a cache that may be emptied at any time.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_writer') THEN
        GRANT SELECT, INSERT, UPDATE ON es.snapshot TO guildhall_writer;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_reader') THEN
        GRANT SELECT ON es.snapshot TO guildhall_reader;
    END IF;
END $$;
