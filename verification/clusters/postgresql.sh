# Starts a server of PostgreSQL; without data of its own, as a standby with a copy of PRIMARY, where that is set.
set -eu
data=/var/lib/postgresql/data
if [ -n "${PRIMARY:-}" ] && [ ! -s "$data/PG_VERSION" ]; then
  export PGPASSWORD="$POSTGRES_PASSWORD"
  until pg_basebackup --host="$PRIMARY" --username=postgres --pgdata="$data" --write-recovery-conf --checkpoint=fast; do
    sleep 1
  done
  chown -R postgres "$data"
  chmod 700 "$data"
fi
exec entry "$@"
