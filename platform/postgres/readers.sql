-- What every role that reads for ClickHouse is a member of: SELECT on what is and will be in schema public. Runs once, as superuser.
CREATE ROLE cdc_reader NOLOGIN;
GRANT USAGE ON SCHEMA public TO cdc_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO cdc_reader;
