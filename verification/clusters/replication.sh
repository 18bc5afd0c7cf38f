# Runs once, in a new cluster: its standby may copy it and follow it.
set -eu
rules=$(psql --username=postgres --tuples-only --no-align --command='SHOW hba_file')
echo "host replication all all scram-sha-256" >>"$rules"
