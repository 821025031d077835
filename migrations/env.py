"""Runs the migrations on the connection that `forge-gdpr db upgrade` opened.

One transaction for all of them, committed by the caller; a lock against two deployers.
"""

from alembic import context

from forge_gdpr.database.schema import VERSION_TABLE, take_over_version
from forge_gdpr.database.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations are run by 'forge-gdpr db upgrade', not by 'alembic'")

if connection.dialect.name == "postgresql":
    # Rather fail than stand in the way of a running night.
    connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
    connection.exec_driver_sql("SET LOCAL statement_timeout = '10min'")
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4711202118)")

take_over_version(connection)
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
