-- Whoever reads what was carried asks how far that is.
DO $$
DECLARE
    login text;
BEGIN
    FOREACH login IN ARRAY ARRAY['guildhall_reader', 'guildhall_writer'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('GRANT SELECT ON es.relay TO %I', login);
        END IF;
    END LOOP;
END $$;
