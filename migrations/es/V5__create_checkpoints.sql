-- What proves history: for each association a Merkle log over its records as in RFC 6962, and signed checkpoints of it.
--
-- The n-th leaf of an association is made of the position and the leaf hash of its n-th event. Everything here follows from
-- the events and a signing key; it is kept so that a proof need not read all history, and so that what was signed once
-- cannot be unsaid.

-- 256 hashes that stand side by side in the tree. Only full tiles are stored; what is younger is computed from events.
CREATE TABLE es.log_tile (
    tenant_id     uuid     NOT NULL,
    -- Hashes of level 0 are leaves; those of level n + 1 are the roots of tiles of level n.
    level         smallint NOT NULL CHECK (level BETWEEN 0 AND 6),
    index         bigint   NOT NULL CHECK (index >= 0),
    last_position bigint   NOT NULL CHECK (last_position > 0),
    root          bytea    NOT NULL CHECK (octet_length(root) = 32),
    hashes        bytea    NOT NULL CHECK (octet_length(hashes) = 256 * 32),
    PRIMARY KEY (tenant_id, level, index)
);
COMMENT ON COLUMN es.log_tile.last_position IS 'Of the last event under the tile.';
-- Hashes do not compress.
ALTER TABLE es.log_tile ALTER hashes SET STORAGE EXTERNAL;
-- Which leaf an event is.
CREATE UNIQUE INDEX log_tile_of_position ON es.log_tile (tenant_id, last_position) WHERE level = 0;

-- Numbered 1, 2, 3 … over all associations, in commit order and without holes, as positions are.
CREATE TABLE es.checkpoint (
    number    bigint      NOT NULL CHECK (number > 0) PRIMARY KEY,
    tenant_id uuid        NOT NULL,
    tree_size bigint      NOT NULL CHECK (tree_size > 0),
    position  bigint      NOT NULL CHECK (position > 0),
    root      bytea       NOT NULL CHECK (octet_length(root) = 32),
    key       text        NOT NULL CHECK (key <> ''),
    note      text        NOT NULL CHECK (note <> ''),
    signed_at timestamptz NOT NULL
);
COMMENT ON COLUMN es.checkpoint.position IS 'Of the last event under the checkpoint.';
COMMENT ON COLUMN es.checkpoint.key IS 'Name and hash of the key that signed first.';
COMMENT ON COLUMN es.checkpoint.note IS 'What was signed, with its signatures, byte for byte. The other columns repeat it.';
-- The latest of an association, and all of them in order.
CREATE INDEX checkpoint_of_tenant ON es.checkpoint (tenant_id, number);

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.log_tile
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();

-- The leaves behind the last full tile, as of an association's last checkpoint, and up to where all associations are under
-- theirs. Both follow from the events and are kept in case those are moved to an archive: the log goes on without them.
CREATE TABLE es.log_tail (
    tenant_id     uuid   PRIMARY KEY,
    tree_size     bigint NOT NULL CHECK (tree_size > 0),
    last_position bigint NOT NULL CHECK (last_position > 0),
    hashes        bytea  NOT NULL CHECK (octet_length(hashes) = tree_size % 256 * 32)
);
ALTER TABLE es.log_tail ALTER hashes SET STORAGE EXTERNAL;
CREATE TABLE es.sealed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL CHECK (position >= 0)
);

-- How far checkpoints were carried to each place outside the database. If it is lost, they are carried there again.
CREATE TABLE es.publication (
    place  text   PRIMARY KEY,
    number bigint NOT NULL CHECK (number >= 0)
);

-- Group roles are made by the first migration, where the owner may make them.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_reader') THEN
        GRANT SELECT ON es.log_tile, es.checkpoint, es.log_tail, es.sealed TO guildhall_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_writer') THEN
        GRANT SELECT, INSERT ON es.log_tile, es.checkpoint TO guildhall_writer;
        GRANT SELECT, INSERT, UPDATE ON es.log_tail, es.sealed, es.publication TO guildhall_writer;
    END IF;
END $$;
