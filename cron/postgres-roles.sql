-- Who may do what in forge-gdpr's PostgreSQL database: five groups, to be granted to your logins.
--
--     psql -v ON_ERROR_STOP=1 -d forge_gdpr -f postgres-roles.sql
--
-- First as a superuser, or as the database's owner with CREATEROLE: it makes the groups. Then
-- again after each `forge-gdpr db upgrade`, as the same or as a login of forge_gdpr_owner: it
-- grants rights on what is there, and takes back what else these groups had. Safe to repeat; all
-- of it or nothing. The tables are those in the first schema of the search path; `public` as a rule.
--
-- PostgreSQL 15 or newer. Each group needs what the comment at its grants says. A login gets a
-- group by GRANT, and a password or certificate of its own; share none, for the record says
-- which login wrote an event (audit_events.recorded_by).

BEGIN;

-- 1. The groups. None can log in, none owns anything but forge_gdpr_owner.

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['owner', 'worker', 'application', 'submitter', 'auditor'] LOOP
        one := 'forge_gdpr_' || one;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', one);
        END IF;
    END LOOP;
    -- Who is no superuser can give the tables only to a group of its own.
    IF NOT pg_has_role(current_user, 'forge_gdpr_owner', 'USAGE') THEN
        EXECUTE format('GRANT forge_gdpr_owner TO %I', current_user);
    END IF;
    -- A submitter may do all that an application may.
    IF NOT pg_has_role('forge_gdpr_submitter', 'forge_gdpr_application', 'MEMBER') THEN
        GRANT forge_gdpr_application TO forge_gdpr_submitter;
    END IF;
END
$$;

-- 2. The database and the schema. Only the owner makes anything in it. A login of
--    forge_gdpr_owner that repeats this file has no say here and finds it done.

DO $$
DECLARE
    one text;
    database constant text := current_database();
    schema constant text := current_schema();
BEGIN
    IF has_schema_privilege(schema, 'CREATE WITH GRANT OPTION') THEN
        -- PUBLIC is every login of the server; databases from before version 15 let it make tables.
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', schema);
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO forge_gdpr_owner', schema);
        FOREACH one IN ARRAY ARRAY['worker', 'application', 'submitter', 'auditor'] LOOP
            one := 'forge_gdpr_' || one;
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', schema, one);
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema, one);
        END LOOP;
    END IF;
    IF has_database_privilege(database, 'CONNECT WITH GRANT OPTION') THEN
        FOREACH one IN ARRAY ARRAY['owner', 'worker', 'application', 'submitter', 'auditor'] LOOP
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', database, 'forge_gdpr_' || one);
        END LOOP;
        -- Every login of the server can connect, unless you say so here, and who is connected
        -- can hold the locks that runs wait for (pg_advisory_lock). Only if no other program
        -- uses this database:
        -- EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', database);
    END IF;
END
$$;

-- Functions of later migrations: nobody but the owner calls them, until this file says who.
-- (Of tables PostgreSQL gives nothing away by itself.)
ALTER DEFAULT PRIVILEGES FOR ROLE forge_gdpr_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- 3. The tables: whose they are, and who may do what with them.

DO $$
DECLARE
    one text;
BEGIN
    IF to_regclass('forge_gdpr_version') IS NULL THEN
        RAISE NOTICE 'the tables are not there, or older: run "forge-gdpr db upgrade", then this file again';
        RETURN;
    END IF;

    -- The owner makes and alters the tables (`db upgrade`), and removes old requests. It can also
    -- switch the append-only triggers off: keep its login for upgrades, never for the night.
    FOREACH one IN ARRAY ARRAY[
        'deletion_requests', 'audit_events', 'runs', 'forge_gdpr_version', 'deletion_outcomes'
    ] LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO forge_gdpr_owner', one);
        -- From here on nobody else has anything but what follows. (The view reads with the
        -- rights of its owner.)
        EXECUTE format(
            'REVOKE ALL ON %I FROM PUBLIC, forge_gdpr_worker, forge_gdpr_application,'
            ' forge_gdpr_submitter, forge_gdpr_auditor', one
        );
    END LOOP;
    ALTER FUNCTION audit_events_refuse() OWNER TO forge_gdpr_owner;
    REVOKE ALL ON FUNCTION audit_events_refuse() FROM PUBLIC;  -- triggers call it all the same
    ALTER FUNCTION deletion_requests_trim() OWNER TO forge_gdpr_owner;
    REVOKE ALL ON FUNCTION deletion_requests_trim() FROM PUBLIC;

    -- Every command looks first whether the schema is its own.
    GRANT SELECT ON forge_gdpr_version
        TO forge_gdpr_worker, forge_gdpr_application, forge_gdpr_auditor;

    -- The worker: the nightly run, and what operators do by command. It reads whom to delete.
    -- It can't add a request or remove one, nor change when it was received, by whom and through
    -- which login it was made, or its reference. (UPDATE of a column is also what FOR UPDATE asks
    -- for.)
    GRANT SELECT ON deletion_requests TO forge_gdpr_worker;
    GRANT UPDATE (
        forge_user_id,  -- found by e-mail, or amended
        email,  -- forgotten when the request is closed, or amended
        public_reference,  -- what stands for the reference
        due_on, alarm_on, extended_at, status, status_reason, subject, approved_by, approval,
        attempts, next_attempt_at, claimed_by, claim_expires_at, fence, closed_at, updated_at
    ) ON deletion_requests TO forge_gdpr_worker;
    GRANT SELECT, INSERT (id, opened_at, lease_expires_at), UPDATE (lease_expires_at, closed_at)
        ON runs TO forge_gdpr_worker;
    -- It appends to the record, and can neither change it nor say when and as whom it wrote:
    -- id, recorded_at and recorded_by are missing here, so they are the database's own word.
    GRANT SELECT, INSERT (
        chain, seq, at, event, run_id, request_id, subject, actor, outcome, attempt, http_status,
        body, previous, hash
    ) ON audit_events TO forge_gdpr_worker;

    -- The application that asks for deletions with plain SQL. It can't read whom others asked
    -- for; the id is for INSERT ... RETURNING id. Dates of the law and states are not its own.
    GRANT SELECT (id), INSERT (
        forge_user_id, email, reference, regime, received_at, not_before, created_by
    ) ON deletion_requests TO forge_gdpr_application;

    -- The submitter: also `requests add` and `requests import`, which compare with what is there
    -- under the same reference. So it reads people: for a back office, not for a web server.
    GRANT SELECT (
        forge_user_id, email, reference, regime, received_at, not_before, closed_at
    ) ON deletion_requests TO forge_gdpr_submitter;

    -- The auditor reads the record, which names nobody, and of the requests all but the person.
    -- Also the reference is missing: some askers write an e-mail into it. What stands for it is
    -- not.
    GRANT SELECT ON audit_events, runs, deletion_outcomes TO forge_gdpr_auditor;
    GRANT SELECT (
        id, regime, received_at, not_before, due_on, status, status_reason, subject, attempts,
        next_attempt_at, claimed_by, claim_expires_at, fence, closed_at, created_at, updated_at,
        alarm_on, extended_at, created_by, approved_by, approval, created_login, public_reference
    ) ON deletion_requests TO forge_gdpr_auditor;
END
$$;

COMMIT;
