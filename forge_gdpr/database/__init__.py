"""The database: tables, transactions, schema. Works on SQLite and PostgreSQL alike."""
