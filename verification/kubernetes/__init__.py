"""The system on Kubernetes: a whole cluster of one node, with Dapr's control plane, under faults."""
