-- Appending faster what the caller knows already.
--
-- A caller that appends to a stream again knows the stream's key and version: the database told it. So there is nothing
-- to look up; that nobody else has been faster, that no command is recorded twice and that no value is claimed twice is
-- what the unique constraints say while the rows go in. Where one of them objects, or anything is not known, each unit
-- is judged as before.

-- The command's id tells two rows apart, so it is compared first; the association in front of it decided nothing.
ALTER TABLE es.command_log DROP CONSTRAINT command_log_pkey, ADD PRIMARY KEY (command_id, tenant_id);
ALTER TABLE es.stream DROP CONSTRAINT stream_tenant_id_id_category_key, ADD UNIQUE (id, tenant_id, category);

-- Every append begins here: takes the log's lock and returns the highest position. `hint` is a position the caller
-- knows to be taken, or 0.
CREATE FUNCTION es.begin_append(hint bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
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
    RETURN coalesce(head, 0);
END $$;

-- The positions that one partition holds: from `first` to before `beyond`. Nothing where no partition holds `place`.
CREATE FUNCTION es.partition_around(place bigint) RETURNS TABLE (first bigint, beyond bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT bound.first, bound.beyond
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
         LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$FROM \('?(\d+)'?\) TO \('?(\d+)'?\)$re$) AS m,
         LATERAL (SELECT m[1]::bigint AS first, m[2]::bigint AS beyond) AS bound
    WHERE i.inhparent = 'es.event'::regclass AND place >= bound.first AND place < bound.beyond
$$;

DROP FUNCTION es.append;

-- Judges each unit of a batch and appends those that may be: under the lock, on a history that reaches to `head`. The
-- arrays are those of `es.append`. Whether a command was recorded before is asked first, so that a unit sent again
-- after a lost answer is never told that it conflicts with itself.
--
-- The settings make the plan independent of statistics, and it is made once for each connection, at the worst when the
-- tables are empty: tables are reached by `LATERAL … LIMIT 1` through an index, arrays are joined by hash. Left to
-- itself, Postgres plans anew at every call, which takes four times as long as appending one event.
CREATE FUNCTION es.append_judging(
    head bigint, recorded timestamptz,
    u_tenant uuid[], u_category text[], u_id uuid[], u_expected bigint[],
    c_unit int[], c_id uuid[], c_hash bytea[], c_metadata bytea[], c_events int[],
    e_command int[], e_id uuid[], e_type text[], e_schema smallint[], e_payload bytea[], e_leaf bytea[],
    k_command int[], k_kind text[], k_value bytea[]
) RETURNS TABLE (unit bigint, outcome text, at bigint, command_id uuid, kind text, stream_key bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
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
           p.command_id, p.kind, coalesce(p.stream_key, s.stream_key)
    FROM placed p LEFT JOIN stored s ON s.unit = p.unit ORDER BY p.unit;
END $$;

-- Appends a batch of units and says what became of each. One call is one transaction is one round trip.
--
-- `u_…` has one entry for each unit, `c_…` for each command, `e_…` for each event, `k_…` for each claim, each in
-- order; `c_unit`, `e_command` and `k_command` count from 1. `c_events` is how many events a command has, `c_reach` how
-- many the batch has up to the command's last one, `u_first` how many up to the unit's first one. Versions are those
-- that follow from `u_expected`. A null `k_value` lets go of a claim. `hint` is a position the caller knows to be
-- taken, or 0.
--
-- The units of one call are independent of each other: no two name the same stream, command or claimed value. The
-- caller sees to that; the unique constraints refuse the whole call if it does not.
--
-- A caller that knows every stream of the batch names their keys in `u_stream`; the first new one is -1, the second -2,
-- and `opened` of them are new. It vouches for this: a stream it names by key was at the version it expects, when
-- history had reached a position in the same partition as all that is appended now, which is before `beyond`; each
-- unit has an event; and no claim is let go. The constraint on stream and version holds within a partition, so whoever
-- has been faster is in the way of the unit's first event; a command that was recorded before and a value that is taken are in
-- the way, too. That history has not become shorter meanwhile is certain as long as the caller's connection is the
-- one over which it learned the version. Where anything objects, nothing was stored and every unit is judged. Without such
-- knowledge `beyond` is 0, and `u_stream` is not looked at.
--
-- Outcomes: `known` for the whole batch (`at`: the position before its first event, `stream_key`: of the first new
-- stream); or of each unit `appended` (`at`: the position before its first event), `conflict` (`at`: the stream's
-- version), `duplicate`, `claim_taken` (`command_id`, `kind`).
CREATE FUNCTION es.append(
    hint bigint, beyond bigint, opened int, recorded timestamptz,
    u_tenant uuid[], u_category text[], u_id uuid[], u_expected bigint[], u_stream bigint[], u_first int[],
    c_unit int[], c_id uuid[], c_hash bytea[], c_metadata bytea[], c_events int[], c_reach int[], c_version bigint[],
    e_command int[], e_id uuid[], e_type text[], e_schema smallint[], e_payload bytea[], e_leaf bytea[], e_version bigint[],
    k_command int[], k_kind text[], k_value bytea[]
) RETURNS TABLE (outcome text, at bigint, command_id uuid, kind text, stream_key bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    head   CONSTANT bigint := es.begin_append(hint);
    first_key bigint;
BEGIN
    IF head + cardinality(e_id) < beyond THEN
        IF opened > 0 THEN
            -- Under the lock nobody else draws keys, so they follow each other.
            first_key := nextval('es.stream_stream_key_seq');
            PERFORM setval('es.stream_stream_key_seq', first_key + opened - 1);
        END IF;
        BEGIN
            IF opened > 0 THEN
                INSERT INTO es.stream (stream_key, first_position, tenant_id, id, category) OVERRIDING SYSTEM VALUE
                SELECT first_key - u.stream - 1, head + u.first, u.tenant_id, u.id, u.category
                FROM (SELECT unnest(u_stream) AS stream, unnest(u_first) AS first, unnest(u_tenant) AS tenant_id,
                             unnest(u_id) AS id, unnest(u_category) AS category) u
                WHERE u.stream < 0;
            END IF;
            INSERT INTO es.event (position, stream_key, version, recorded_at, tenant_id, event_id, command_id,
                                  schema_version, type, leaf_hash, metadata, payload)
            SELECT head + e.nth, CASE WHEN u_stream[c_unit[e.command]] > 0 THEN u_stream[c_unit[e.command]]
                                      ELSE first_key - u_stream[c_unit[e.command]] - 1 END,
                   e.version, recorded, u_tenant[c_unit[e.command]], e.id, c_id[e.command],
                   e.schema, e.type, e.leaf, c_metadata[e.command], e.payload
            FROM (SELECT generate_series(1, cardinality(e_id)) AS nth, unnest(e_command) AS command, unnest(e_id) AS id,
                         unnest(e_type) AS type, unnest(e_schema) AS schema, unnest(e_payload) AS payload,
                         unnest(e_leaf) AS leaf, unnest(e_version) AS version) e;
            INSERT INTO es.command_log (tenant_id, command_id, stream_key, version, position, event_count, request_hash)
            SELECT u_tenant[c.unit], c.id, CASE WHEN u_stream[c.unit] > 0 THEN u_stream[c.unit]
                                                ELSE first_key - u_stream[c.unit] - 1 END,
                   c.version, head + c.reach, c.events, c.hash
            FROM (SELECT unnest(c_unit) AS unit, unnest(c_id) AS id, unnest(c_version) AS version,
                         unnest(c_reach) AS reach, unnest(c_events) AS events, unnest(c_hash) AS hash) c;
            IF cardinality(k_kind) > 0 THEN
                INSERT INTO es.claim (tenant_id, kind, value_hmac, stream_key)
                SELECT u_tenant[c_unit[k.command]], k.kind, k.value, first_key - u_stream[c_unit[k.command]] - 1
                FROM (SELECT unnest(k_command) AS command, unnest(k_kind) AS kind, unnest(k_value) AS value) k;
            END IF;
            RETURN QUERY VALUES ('known', head, NULL::uuid, NULL, first_key);
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            -- Somebody has been faster, or it was recorded before: who, and what becomes of the others, is asked.
        END;
    END IF;
    RETURN QUERY SELECT j.outcome, j.at, j.command_id, j.kind, j.stream_key
    FROM es.append_judging(head, recorded, u_tenant, u_category, u_id, u_expected, c_unit, c_id, c_hash, c_metadata,
                           c_events, e_command, e_id, e_type, e_schema, e_payload, e_leaf, k_command, k_kind, k_value) j;
END $$;

REVOKE ALL ON FUNCTION es.begin_append, es.partition_around, es.append_judging, es.append FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_writer') THEN
        GRANT EXECUTE ON FUNCTION es.partition_around, es.append TO guildhall_writer;
    END IF;
END $$;
