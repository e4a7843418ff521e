-- No node stalls the others. A node that is stopped, or whose machine freezes, between sending an append and ending its
-- transaction holds the append lock for as long as its connection lives: its server process waits for the client, and
-- no timeout of Postgres 15 ends that wait (`statement_timeout` has passed its statement,
-- `idle_in_transaction_session_timeout` does not cover the extended protocol before `Sync`).
--
-- Ends the connection that has held the append lock of this database for `after`, all that time waiting for its client,
-- and returns its process id; null where there is none. Nothing it sent is lost: its transaction is rolled back, and the
-- node sends the same units again over another connection when it goes on.
--
-- It takes `after` to answer, because it watches: a writer at work is not seen waiting for its client again and again in one transaction. It
-- runs with the rights of its caller, so it lends nobody any power: whoever calls it might have ended that connection
-- without it. Nodes that share a login need nothing more; where each has its own, each needs `pg_signal_backend` and
-- `pg_read_all_stats`.
CREATE FUNCTION es.evict_stalled_writer(after interval DEFAULT '2 s') RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lock_key CONSTANT bigint := x'475548414c4c'::bigint + 1;  -- as in es.append
    deadline timestamptz := clock_timestamp() + least(greatest(after, '0'), '30 s');
    holder integer; holds_since timestamptz;
    suspect integer; suspected_since timestamptz;
BEGIN
    LOOP
        PERFORM pg_stat_clear_snapshot();
        SELECT a.pid, a.xact_start INTO holder, holds_since
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock' AND l.objsubid = 1
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.classid = (lock_key >> 32)::oid AND l.objid = (lock_key & x'ffffffff'::bigint)::oid
          AND a.wait_event_type = 'Client';
        IF holder IS NULL THEN
            RETURN NULL;
        ELSIF suspect IS NULL THEN
            suspect := holder;
            suspected_since := holds_since;
        ELSIF (holder, holds_since) <> (suspect, suspected_since) THEN
            RETURN NULL;
        END IF;
        EXIT WHEN clock_timestamp() >= deadline;
        PERFORM pg_sleep(0.05);
    END LOOP;
    PERFORM pg_terminate_backend(holder);
    RETURN holder;
END $$;
COMMENT ON FUNCTION es.evict_stalled_writer IS
    'Ends the connection that holds the append lock and has waited for its client all the time; returns its process id.';

REVOKE ALL ON FUNCTION es.evict_stalled_writer FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guildhall_writer') THEN
        GRANT EXECUTE ON FUNCTION es.evict_stalled_writer TO guildhall_writer;
    END IF;
END $$;
