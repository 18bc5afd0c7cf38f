"""A run file for `dapr run -k`: of dapr.yaml what the CLI deploys to a cluster, and the images that it wants."""

import yaml

from toolchain import runfile

FILE = "deploy/dapr-run-k.yaml"
HEAD = """\
# Made by `make docs` from dapr.yaml; a change here would be lost. For `dapr run -k`: docs/azure.md.
# The keys of dapr.yaml that are not here, the CLI passes over on a cluster.
"""
KEPT = ("appID", "appPort", "metricsPort")


def document() -> str:
    """Return the run file; the same dapr.yaml makes the same text."""
    declared = runfile.load().document
    apps = [
        {
            **{key: app[key] for key in KEPT},
            # Each its own: the CLI writes the manifests of an app there, and deletes by them.
            "appDirPath": f"../services/{app['appID'].replace('-', '_')}",
            # The CLI mounts nothing: a database for a try, in the container itself.
            "env": {
                "PORT": str(app["appPort"]),
                "METRICS_PORT": app["env"]["METRICS_PORT"],
                "DATABASE_URL": f"sqlite:////tmp/{app['appID']}.db",
            },
            "containerImage": f"orders-on-dapr/{app['appID']}",
            "containerImagePullPolicy": "IfNotPresent",
        }
        for app in declared["apps"]
    ]
    return HEAD + yaml.safe_dump({"version": 1, "apps": apps}, sort_keys=False)
