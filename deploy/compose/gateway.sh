# Starts nginx in a folder with the files of gateway/ and the three that differ from place to place.
set -eu
umask 077
cd /gateway
cp /etc/gateway/*.conf .
[ -s certificate.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out certificate.pem 2>/dev/null
cat >listen.conf <<'CONF'
listen 0.0.0.0:8443 ssl http2;
ssl_certificate /gateway/certificate.pem;
ssl_certificate_key /gateway/key.pem;
set $transport_security "";
CONF
echo 'server 127.0.0.1:3500;' >sidecar.conf
: >token.conf
exec nginx -e stderr -p /gateway -c nginx.conf
