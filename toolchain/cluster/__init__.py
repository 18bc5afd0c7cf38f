"""Kubernetes: the manifests that are made from the project's own YAML, and the programs that they are tried on."""
