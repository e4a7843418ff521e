-- Logins of analysts: read-only, and each sees one association.
--
-- What a login may see hangs on `session_user`, which neither SET ROLE nor a function can change. The policies stand on
-- the tables, so no view, however written, shows more. Tables are owned by the server's own role, which they do not bind.

-- Roles belong to the whole cluster: another database, or another node at the same moment, may have made it.
DO $$
BEGIN
    CREATE ROLE guildhall_analyst NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;

CREATE OR REPLACE FUNCTION reporting.own_association() RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT tenant_id FROM settings.analyst WHERE login = session_user $$;
COMMENT ON FUNCTION reporting.own_association() IS 'The association of the analyst who asks; NULL for everybody else.';

-- Every table with a tenant gets the same wall, the ones analysts may read and the ones they may not.
DO $$
DECLARE
    walled regclass;
BEGIN
    FOR walled IN
        SELECT c.oid::regclass
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
         WHERE c.relnamespace = 'read'::regnamespace AND c.relkind = 'r'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', walled);
        EXECUTE format('CREATE POLICY own_association ON %s FOR SELECT TO guildhall_analyst '
                       'USING (tenant_id = (SELECT reporting.own_association()))', walled);
    END LOOP;
END $$;

ALTER TABLE settings.account_mapping ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own_association ON settings.account_mapping;
CREATE POLICY own_association ON settings.account_mapping FOR SELECT TO guildhall_analyst
    USING (tenant_id = (SELECT reporting.own_association()) OR tenant_id = '00000000-0000-0000-0000-000000000000');

-- The views run with the analyst's rights, so the tables behind them are granted, too. The directory is not: it holds
-- names and addresses, and an analyst counts.
GRANT USAGE ON SCHEMA reporting, read, settings TO guildhall_analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO guildhall_analyst;
GRANT SELECT ON settings.account_mapping TO guildhall_analyst;
GRANT SELECT ON
    read.reporting_plan, read.reporting_membership, read.reporting_status_span, read.reporting_renewal,
    read.reporting_event, read.reporting_roster, read.reporting_registration, read.reporting_invoice,
    read.reporting_invoice_movement, read.reporting_revenue, read.reporting_contribution,
    read.erp_journal_entry, read.erp_journal_line
    TO guildhall_analyst;

-- What everybody may do in Postgres is too much for a stranger in the same database: hold the advisory lock that orders
-- history, so that nothing can be appended, and store large objects. Only a superuser can take that from PUBLIC: where
-- migrations run as somebody else it stays, and analysts have to be trusted that far.
DO $$
DECLARE
    open_to_all regprocedure;
    ours name;
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    FOR open_to_all IN
        SELECT oid FROM pg_proc
         WHERE pronamespace = 'pg_catalog'::regnamespace
           AND (proname ~ '^pg_(try_)?advisory_' OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', open_to_all);
        FOR ours IN SELECT rolname FROM pg_roles WHERE rolname IN ('guildhall_writer', 'guildhall_relay') LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', open_to_all, ours);
        END LOOP;
    END LOOP;
END $$;

-- Making a login is one statement here, so that name and password are quoted in one place. Only who may create roles can
-- use it: it runs with the rights of its caller.
CREATE OR REPLACE FUNCTION settings.add_analyst(tenant uuid, new_login text, new_password text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10 '
                   'PASSWORD %L IN ROLE guildhall_analyst', new_login, new_password);
    EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', new_login);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', new_login, '5min');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', new_login, '1min');
    EXECUTE format('ALTER ROLE %I SET search_path = reporting', new_login);
    INSERT INTO settings.analyst (login, tenant_id) VALUES (new_login, tenant);
END $$;
REVOKE EXECUTE ON FUNCTION settings.add_analyst(uuid, text, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION settings.remove_analyst(old_login text) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM settings.analyst WHERE login = old_login;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP ROLE IF EXISTS %I', old_login);
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION settings.remove_analyst(text) FROM PUBLIC;
