-- History: insert-only, in one order, without holes. The schema `es` itself is made by `guildhall_migrations::migrate`.
--
-- Nothing here is ever updated. Events, streams and the command log are inserted by `es.append` and by nothing else;
-- claims come and go with the events that make them. Keys of personal data live apart, in the schema `vault`, so that
-- a backup or a login can hold one without the other.

-- One row for each thing that has a history. Events carry its short key instead of its name.
CREATE TABLE es.stream (
    stream_key     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_position bigint NOT NULL CHECK (first_position > 0),
    tenant_id      uuid   NOT NULL,
    id             uuid   NOT NULL,
    category       text   NOT NULL CHECK (category ~ '^[a-z][a-z_]{0,62}$'),
    UNIQUE (tenant_id, id, category)
);
COMMENT ON COLUMN es.stream.first_position IS
    'No event of the stream stands below it: partitions of older history need not be looked at.';

-- Payload and metadata are the exact bytes that were hashed; `jsonb` would rewrite them.
-- Wide columns are not compressed: they are mostly ciphertext, and the time would be spent under the append lock.
CREATE TABLE es.event (
    position       bigint      NOT NULL CHECK (position > 0) PRIMARY KEY,
    stream_key     bigint      NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    recorded_at    timestamptz NOT NULL,
    tenant_id      uuid        NOT NULL,
    event_id       uuid        NOT NULL,
    command_id     uuid        NOT NULL,
    schema_version smallint    NOT NULL CHECK (schema_version > 0),
    type           text        NOT NULL CHECK (type <> ''),
    leaf_hash      bytea       NOT NULL CHECK (octet_length(leaf_hash) = 32),
    metadata       bytea       NOT NULL,
    payload        bytea       NOT NULL
) PARTITION BY RANGE (position);
ALTER TABLE es.event ALTER metadata SET STORAGE EXTERNAL, ALTER payload SET STORAGE EXTERNAL;
-- The history of one association, for its auditors, its exports and its seal.
CREATE INDEX event_of_tenant ON es.event (tenant_id, position);

-- What every command came to, also of those that recorded nothing: the receipt that is given again.
CREATE TABLE es.command_log (
    tenant_id    uuid    NOT NULL,
    command_id   uuid    NOT NULL,
    stream_key   bigint  NOT NULL,
    version      bigint  NOT NULL CHECK (version >= 0),
    position     bigint  NOT NULL CHECK (position >= 0),
    event_count  integer NOT NULL CHECK (event_count >= 0),
    request_hash bytea   NOT NULL CHECK (octet_length(request_hash) = 32),
    PRIMARY KEY (tenant_id, command_id)
);
COMMENT ON COLUMN es.command_log.position IS
    'Of the last event; where nothing was recorded, the highest position at the time.';

-- Values that only one stream of an association may have. What is kept is a keyed hash, never the value.
CREATE TABLE es.claim (
    tenant_id  uuid   NOT NULL,
    kind       text   NOT NULL,
    value_hmac bytea  NOT NULL CHECK (octet_length(value_hmac) = 32),
    stream_key bigint NOT NULL,
    PRIMARY KEY (tenant_id, kind, value_hmac)
);
-- What a stream holds, for letting go of it.
CREATE INDEX claim_of_stream ON es.claim (stream_key, kind);

-- History is not edited, not even by its owner.
CREATE FUNCTION es.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is not edited: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'What was recorded wrongly is corrected by a new event.';
END $$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.event
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.stream
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.command_log
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();

-- Makes the partitions that the next `ahead` positions need, and returns the first position that has no room.
-- A partition is filled in as a table of its own and attached: unlike `CREATE TABLE … PARTITION OF` that does not
-- wait for, or stop, anybody who reads or appends.
CREATE FUNCTION es.ensure_partitions(ahead bigint DEFAULT 10000000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    width CONSTANT bigint := 10000000;
    head  bigint;
    number bigint;
    name  text;
BEGIN
    PERFORM pg_advisory_xact_lock(x'475548414c4c'::bigint + 2);  -- several nodes start at once
    SELECT coalesce(max(position), 0) INTO head FROM es.event;
    FOR number IN 0 .. (head + ahead) / width LOOP
        name := format('event_%s', number);
        CONTINUE WHEN to_regclass('es.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE es.%I (LIKE es.event INCLUDING STORAGE INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE es.%I ADD PRIMARY KEY (position), ADD UNIQUE (stream_key, version)', name);
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
        EXECUTE format('ALTER TABLE es.event ATTACH PARTITION es.%I FOR VALUES FROM (%s) TO (%s)',
                       name, number * width, (number + 1) * width);
    END LOOP;
    RETURN ((head + ahead) / width + 1) * width;
END $$;
SELECT es.ensure_partitions();

-- Appends a batch of units and says what became of each. One call is one transaction is one round trip.
--
-- `u_…` has one entry for each unit, `c_…` for each command, `e_…` for each event, `k_…` for each claim, each in
-- order; `c_unit`, `e_command` and `k_command` count from 1. `c_events` is how many events a command has. A null
-- `k_value` lets go of a claim. `hint` is a position the caller knows to be taken, or 0.
--
-- The units of one call are independent of each other: no two name the same stream, command or claimed value. The
-- caller sees to that; the unique constraints refuse the whole call if it does not.
--
-- Outcomes: `appended` (`at`: the position before its first event), `conflict` (`at`: the stream's version),
-- `duplicate`, `claim_taken` (`command_id`, `kind`). Whether a command was recorded before is asked first, so that a
-- unit sent again after a lost answer is never told that it conflicts with itself.
--
-- The settings make the plan independent of statistics, and it is made once for each connection, at the worst when the
-- tables are empty: tables are reached by `LATERAL … LIMIT 1` through an index, arrays are joined by hash. Left to
-- itself, Postgres plans anew at every call, which takes four times as long as appending one event.
CREATE FUNCTION es.append(
    hint bigint, recorded timestamptz,
    u_tenant uuid[], u_category text[], u_id uuid[], u_expected bigint[],
    c_unit int[], c_id uuid[], c_hash bytea[], c_metadata bytea[], c_events int[],
    e_command int[], e_id uuid[], e_type text[], e_schema smallint[], e_payload bytea[], e_leaf bytea[],
    k_command int[], k_kind text[], k_value bytea[]
) RETURNS TABLE (unit bigint, outcome text, at bigint, command_id uuid, kind text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_column
DECLARE head bigint;
BEGIN
    -- Under a stricter isolation level the snapshot would be older than the lock, and the highest position stale.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'es.append needs READ COMMITTED, this transaction is %',
            upper(current_setting('transaction_isolation')) USING ERRCODE = 'invalid_transaction_state';
    END IF;
    -- Held until the commit is visible. So position order is commit order, and positions have no holes.
    PERFORM pg_advisory_xact_lock(x'475548414c4c'::bigint + 1);
    -- A later statement than the one that waited: it has a fresh snapshot and sees every earlier append.
    SELECT e.position INTO head FROM es.event e WHERE e.position >= hint ORDER BY e.position DESC LIMIT 1;
    IF head IS NULL AND hint > 0 THEN
        RAISE EXCEPTION 'history ends before position %, which has been acknowledged', hint
            USING ERRCODE = 'data_corrupted', HINT = 'Was the database restored, or failed over to a copy that lost its end?';
    END IF;
    head := coalesce(head, 0);

    RETURN QUERY
    WITH u AS MATERIALIZED (
        SELECT x.unit, x.tenant_id, x.category, x.id, x.expected, s.stream_key, coalesce(v.version, 0) AS actual
        FROM unnest(u_tenant, u_category, u_id, u_expected) WITH ORDINALITY x (tenant_id, category, id, expected, unit)
        LEFT JOIN LATERAL (SELECT s.stream_key, s.first_position FROM es.stream s
            WHERE s.tenant_id = x.tenant_id AND s.id = x.id AND s.category = x.category LIMIT 1) s ON true
        LEFT JOIN LATERAL (SELECT e.version FROM es.event e
            WHERE e.stream_key = s.stream_key AND e.position >= s.first_position ORDER BY e.version DESC LIMIT 1) v ON true
    ), c AS MATERIALIZED (
        SELECT x.*, u.tenant_id, l.known, sum(x.events) OVER (PARTITION BY x.unit ORDER BY x.command) AS reach
        FROM unnest(c_unit, c_id, c_hash, c_metadata, c_events) WITH ORDINALITY x (unit, id, hash, metadata, events, command)
        JOIN u ON u.unit = x.unit
        LEFT JOIN LATERAL (SELECT true AS known FROM es.command_log l
            WHERE l.tenant_id = u.tenant_id AND l.command_id = x.id LIMIT 1) l ON true
    ), k AS MATERIALIZED (
        SELECT x.*, c.unit, c.id AS command_id, u.tenant_id, mine.held_at, mine.value AS held, other.stream_key IS NOT NULL AS taken
        FROM unnest(k_command, k_kind, k_value) WITH ORDINALITY x (command, kind, value, place)
        JOIN c ON c.command = x.command
        JOIN u ON u.unit = c.unit
        LEFT JOIN LATERAL (SELECT m.ctid AS held_at, m.value_hmac AS value FROM es.claim m
            WHERE m.stream_key = u.stream_key AND m.kind = x.kind LIMIT 1) mine ON true
        LEFT JOIN LATERAL (SELECT o.stream_key FROM es.claim o
            WHERE o.tenant_id = u.tenant_id AND o.kind = x.kind AND o.value_hmac = x.value
              AND o.stream_key IS DISTINCT FROM u.stream_key LIMIT 1) other ON true
    ), judged AS MATERIALIZED (
        SELECT u.*, d.events, t.command_id, t.kind,
            CASE WHEN d.known THEN 'duplicate' WHEN u.expected <> u.actual THEN 'conflict'
                 WHEN t.unit IS NOT NULL THEN 'claim_taken' ELSE 'appended' END AS outcome
        FROM u
        JOIN (SELECT c.unit, sum(c.events)::bigint AS events, bool_or(c.known) AS known FROM c GROUP BY c.unit) d
          ON d.unit = u.unit
        LEFT JOIN (SELECT DISTINCT ON (k.unit) k.unit, k.command_id, k.kind FROM k WHERE k.taken ORDER BY k.unit, k.place) t
          ON t.unit = u.unit
    ), placed AS MATERIALIZED (
        SELECT j.*, head + coalesce(sum(j.events) FILTER (WHERE j.outcome = 'appended')
            OVER (ORDER BY j.unit ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS base
        FROM judged j
    ), opened AS (
        INSERT INTO es.stream (tenant_id, category, id, first_position)
        SELECT p.tenant_id, p.category, p.id, p.base + 1 FROM placed p
        WHERE p.outcome = 'appended' AND p.stream_key IS NULL ORDER BY p.unit
        RETURNING stream_key, tenant_id, category, id
    ), stored AS MATERIALIZED (
        SELECT p.unit, p.tenant_id, p.expected, p.base, coalesce(p.stream_key, o.stream_key) AS stream_key
        FROM placed p LEFT JOIN opened o ON o.tenant_id = p.tenant_id AND o.category = p.category AND o.id = p.id
        WHERE p.outcome = 'appended'
    ), events AS (
        INSERT INTO es.event (position, stream_key, version, recorded_at, tenant_id, event_id, command_id,
                              schema_version, type, leaf_hash, metadata, payload)
        SELECT s.base + e.nth, s.stream_key, s.expected + e.nth, recorded, s.tenant_id, e.id, e.command_id,
               e.schema, e.type, e.leaf, e.metadata, e.payload
        FROM (SELECT x.*, c.unit, c.id AS command_id, c.metadata,
                     row_number() OVER (PARTITION BY c.unit ORDER BY x.place) AS nth
              FROM unnest(e_command, e_id, e_type, e_schema, e_payload, e_leaf) WITH ORDINALITY
                   x (command, id, type, schema, payload, leaf, place)
              JOIN c ON c.command = x.command) e
        JOIN stored s ON s.unit = e.unit
        ORDER BY 1
    ), commands AS (
        INSERT INTO es.command_log (tenant_id, command_id, stream_key, version, position, event_count, request_hash)
        SELECT s.tenant_id, c.id, s.stream_key, s.expected + c.reach, s.base + c.reach, c.events, c.hash
        FROM c JOIN stored s ON s.unit = c.unit ORDER BY c.command
    ), kept AS MATERIALIZED (
        SELECT DISTINCT ON (k.unit, k.kind) k.tenant_id, k.kind, k.value, k.held_at, k.held, s.stream_key
        FROM k JOIN stored s ON s.unit = k.unit
        ORDER BY k.unit, k.kind, k.place DESC
    ), released AS (
        DELETE FROM es.claim WHERE ctid = ANY (ARRAY(
            SELECT kept.held_at FROM kept WHERE kept.held_at IS NOT NULL AND kept.value IS DISTINCT FROM kept.held))
    ), claimed AS (
        INSERT INTO es.claim (tenant_id, kind, value_hmac, stream_key)
        SELECT kept.tenant_id, kept.kind, kept.value, kept.stream_key FROM kept
        WHERE kept.value IS NOT NULL AND kept.value IS DISTINCT FROM kept.held
    )
    SELECT p.unit, p.outcome, CASE p.outcome WHEN 'appended' THEN p.base WHEN 'conflict' THEN p.actual END,
           p.command_id, p.kind
    FROM placed p ORDER BY p.unit;
END $$;

-- History for people: names instead of keys, JSON instead of bytes. Programs read the table.
CREATE VIEW es.event_decoded AS
SELECT e.position, e.tenant_id, s.category || '-' || s.id AS stream, e.version, e.type, e.schema_version,
       convert_from(e.payload, 'UTF8')::jsonb AS payload, convert_from(e.metadata, 'UTF8')::jsonb AS metadata,
       e.event_id, e.command_id, e.recorded_at
FROM es.event e JOIN es.stream s USING (stream_key);

-- The vault: one data key for each person, wrapped by the key-encryption key. To forget a person is to destroy the
-- wrapped key; the row stays, so that the person can be told from one who never was, and is never given a key again.
CREATE SCHEMA IF NOT EXISTS vault;
CREATE TABLE vault.data_key (
    tenant_id    uuid        NOT NULL,
    subject      uuid        NOT NULL,
    wrapped_key  bytea,
    kek_id       text        NOT NULL,
    created_at   timestamptz NOT NULL,
    forgotten_at timestamptz,
    PRIMARY KEY (tenant_id, subject),
    CHECK ((wrapped_key IS NULL) = (forgotten_at IS NOT NULL))
);
CREATE FUNCTION vault.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a forgotten person stays forgotten: % on vault.data_key is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON vault.data_key
    FOR EACH STATEMENT EXECUTE FUNCTION vault.refuse_change();
CREATE TRIGGER refuse_return BEFORE UPDATE ON vault.data_key
    FOR EACH ROW WHEN (OLD.forgotten_at IS NOT NULL) EXECUTE FUNCTION vault.refuse_change();

-- Group roles: a node's login is made a member of the writer, a relay's or an auditor's of the reader. Roles belong to
-- the whole server, so another database may have made them already, or be making them now; and where the migrating
-- role may not make roles, the owner's own login serves.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA es, vault FROM PUBLIC;
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['guildhall_writer', 'guildhall_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN CONTINUE;
        END;
        EXECUTE format('GRANT USAGE ON SCHEMA es TO %I', wanted);
        EXECUTE format('GRANT SELECT ON es.event, es.stream, es.command_log, es.event_decoded TO %I', wanted);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_writer') THEN
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA es TO guildhall_writer;
        GRANT SELECT ON es.claim TO guildhall_writer;
        GRANT USAGE ON SCHEMA vault TO guildhall_writer;
        GRANT SELECT, INSERT, UPDATE (wrapped_key, kek_id, forgotten_at) ON vault.data_key TO guildhall_writer;
    END IF;
END $$;
