"""What `make observe` runs beside a system: Prometheus, and a viewer of traces."""
