# Runs once, in a new cluster: one role and one database for each service.
set -eu
for service in notification order; do
  psql --quiet --username=postgres --set=ON_ERROR_STOP=1 --set=name="$service" --set=password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
