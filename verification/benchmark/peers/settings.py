"""Where the servers are, for the peers that have no sidecar to tell them."""

import os

RABBITMQ_URL = os.environ["RABBITMQ_URL"]
DATABASE_URL = os.environ["DATABASE_URL"]
