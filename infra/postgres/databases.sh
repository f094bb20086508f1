#!/usr/bin/env bash
# Run by Postgres' image on its first start. MLflow and Prefect ask nobody for a password: they have a role of their own,
# which reaches neither the ledger nor people's keys. The keys lie in a database of their own: its backups are kept for a
# shorter time than all others (docs/erasure.md).
set -euo pipefail
psql --quiet --set ON_ERROR_STOP=1 --set password="$SERVERS_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_USER" <<'SQL'
CREATE ROLE servers LOGIN PASSWORD :'password';
CREATE DATABASE amun_keys;
CREATE DATABASE mlflow OWNER servers;
CREATE DATABASE prefect OWNER servers;
REVOKE CONNECT ON DATABASE amun, amun_keys FROM PUBLIC;
SQL
