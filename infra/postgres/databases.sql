-- Run by Postgres' image on its first start. People's keys lie in a database of their own: its backups are kept for a
-- shorter time than all others (docs/erasure.md).
CREATE DATABASE amun_keys;
CREATE DATABASE mlflow;
CREATE DATABASE prefect;
