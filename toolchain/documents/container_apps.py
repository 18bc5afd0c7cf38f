"""A template for Azure Container Apps: the same components and apps, as Azure Resource Manager takes them.

The types are those of Microsoft.App, 2025-07-01.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from toolchain import runfile

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FILE = "deploy/azure/template.json"
API = "2025-07-01"
BROKER = "azure.servicebus.topics"
COMPONENTS = (f"components/{BROKER}/pubsub.yaml", "components/mail/smtp/email.yaml")
TUNING = ROOT / "components" / BROKER / "subscription.yaml"
"""It is in no image: it comes with the files, from a secret that is none."""
SECRETS = "/run/orders"
"""Where an app finds the files that services share: by SECRETS_FOLDER."""
PARAMETERS = {
    "environment": "Name of the Container Apps environment, in this resource group",
    "identity": "Resource id of the user-assigned identity that reads the key vault and pulls the images",
    "keyVault": "https://….vault.azure.net/",
    "registry": "Server of the images' registry",
    "serviceBus": "Name of the Service Bus namespace",
    "OIDC_ISSUER": "The issuer whose access tokens are accepted",
    "OIDC_AUDIENCE": "The audience of the access tokens",
}


def document() -> str:
    """Return the template; the same files make the same text."""
    system = runfile.load(broker=BROKER, mail="smtp")
    components = [yaml.safe_load((ROOT / each).read_text()) for each in COMPONENTS]
    apps = [each["appID"] for each in system.document["apps"]]
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {
            "description": "Made by `make docs`; a change here would be lost."
        },
        "parameters": {
            name: {"type": "string", "metadata": {"description": text}}
            for name, text in _parameters(components, apps).items()
        },
        "resources": [
            *map(_component, components),
            *(_app(system, each, components[0]) for each in apps),
        ],
    }
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def _parameters(components: list[Json], apps: list[str]) -> dict[str, str]:
    parameters = dict(PARAMETERS)
    for each in components:
        read = [item for item in each["spec"]["metadata"] if "envRef" in item]
        parameters |= {
            item["envRef"]: f"{item['name']} of the component {_name(each)}"
            for item in read
        }
    return parameters | {
        f"{each}Image": f"Image of the service {each}, with its digest" for each in apps
    }


def _component(document: Json) -> Json:
    spec = document["spec"]
    secrets = [
        each["secretKeyRef"]["name"]
        for each in spec["metadata"]
        if "secretKeyRef" in each
    ]
    return {
        "type": "Microsoft.App/managedEnvironments/daprComponents",
        "apiVersion": API,
        "name": f"[concat(parameters('environment'), '/{_name(document)}')]",
        "properties": {
            "componentType": spec["type"],
            "version": spec["version"],
            "ignoreErrors": spec["ignoreErrors"],
            "metadata": [_setting(each) for each in spec["metadata"]],
            "secrets": [_secret(_dashed(each)) for each in secrets],
            "scopes": document["scopes"],
        },
    }


def _setting(item: Json) -> Json:
    if "secretKeyRef" in item:
        return {
            "name": item["name"],
            "secretRef": _dashed(item["secretKeyRef"]["name"]),
        }
    value = f"[parameters('{item['envRef']}')]" if "envRef" in item else item["value"]
    return {"name": item["name"], "value": value}


def _app(system: runfile.System, app_id: str, pubsub: Json) -> Json:
    files, app = _files(system, app_id), system.app(app_id)
    environment = "'Microsoft.App/managedEnvironments', parameters('environment')"
    component = environment.replace("s', p", "s/daprComponents', p")
    names = [Path(each).stem for each in COMPONENTS]
    return {
        "type": "Microsoft.App/containerApps",
        "apiVersion": API,
        "name": app_id,
        "location": "[resourceGroup().location]",
        "dependsOn": [f"[resourceId({component}, '{each}')]" for each in names],
        "identity": {
            "type": "UserAssigned",
            "userAssignedIdentities": {"[parameters('identity')]": {}},
        },
        "properties": {
            "environmentId": f"[resourceId({environment})]",
            "configuration": _configuration(system.document["common"], app, files),
            "template": {
                "terminationGracePeriodSeconds": 60,
                "containers": [_container(system.document["common"], app)],
                "volumes": [_volume(files | {TUNING.stem: TUNING.name})],
                "scale": _scale(app_id, pubsub),
            },
        },
    }


def _configuration(common: Json, app: Json, files: dict[str, str]) -> Json:
    registry = {
        "server": "[parameters('registry')]",
        "identity": "[parameters('identity')]",
    }
    return {
        "activeRevisionsMode": "Single",
        "dapr": _sidecar(common, app),
        # Not `external`: a public door stands in front (docs/gateway.md).
        "ingress": {"external": False, "targetPort": app["appPort"]},
        "registries": [registry],
        "secrets": [
            *(_secret(each) for each in (_database(app), *files)),
            {"name": TUNING.stem, "value": TUNING.read_text()},
        ],
    }


def _database(app: Json) -> str:
    return f"{app['appID']}-database-url"


def _volume(files: dict[str, str]) -> Json:
    items = [{"secretRef": secret, "path": path} for secret, path in files.items()]
    return {"name": "secrets", "storageType": "Secret", "secrets": items}


def _files(system: runfile.System, app_id: str) -> dict[str, str]:
    """Return an app's secrets that are files, and their names: its own keys, the others' public halves."""
    files = {"feed-secret": "feed.secret", f"{app_id}-keys": f"{app_id}.keys"}
    others = [each["appID"] for each in system.document["apps"]]
    others.remove(app_id)
    return files | {f"{each}-public-keys": f"{each}.keys" for each in others}


def _sidecar(common: Json, app: Json) -> Json:
    return {
        "enabled": True,
        "appId": app["appID"],
        "appPort": app["appPort"],
        "appProtocol": "http",
        "logLevel": "warn",
        "appHealth": {
            "enabled": common["enableAppHealthCheck"],
            "path": common["appHealthCheckPath"],
            "probeIntervalSeconds": common["appHealthProbeInterval"],
            "probeTimeoutMilliseconds": common["appHealthProbeTimeout"],
            "threshold": common["appHealthThreshold"],
        },
    }


def _container(common: Json, app: Json) -> Json:
    # `keep` starts a process again that has died: here the platform does.
    _, *command = app["command"]
    values = {
        **common["env"],
        **{name: each for name, each in app["env"].items() if "127.0.0.1" not in each},
        "SECRETS_FOLDER": SECRETS,
        "SUBSCRIPTION_FILE": f"{SECRETS}/{TUNING.name}",
        **{
            name: f"[parameters('{name}')]" for name in ("OIDC_ISSUER", "OIDC_AUDIENCE")
        },
    }
    return {
        "name": app["appID"],
        "image": f"[parameters('{app['appID']}Image')]",
        "command": [
            each.replace("--host=127.0.0.1", "--host=0.0.0.0") for each in command
        ],
        "env": [
            {"name": "DATABASE_URL", "secretRef": _database(app)},
            *({"name": name, "value": value} for name, value in values.items()),
        ],
        "resources": {"cpu": "[json('0.5')]", "memory": "1Gi"},
        "probes": [
            _probe("Startup", "/healthz", app["appPort"], failures=10),
            _probe("Liveness", "/healthz", app["appPort"], failures=6),
            _probe("Readiness", "/readyz", app["appPort"], failures=3),
        ],
        "volumeMounts": [{"volumeName": "secrets", "mountPath": SECRETS}],
    }


def _probe(kind: str, path: str, port: int, *, failures: int) -> Json:
    return {
        "type": kind,
        "httpGet": {"path": path, "port": port},
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _scale(app_id: str, pubsub: Json) -> Json:
    # Never to none: what relays and pulls runs in the service.
    http: Json = {
        "name": "requests",
        "http": {"metadata": {"concurrentRequests": "50"}},
    }
    rules = [http, *(_backlog(app_id, each) for each in _topics(app_id, pubsub))]
    return {"minReplicas": 2, "maxReplicas": 4, "rules": rules}


def _topics(app_id: str, pubsub: Json) -> list[str]:
    """Return the topics that an app subscribes to, without that of its dead letters."""
    settings = {each["name"]: each.get("value") for each in pubsub["spec"]["metadata"]}
    scopes = dict(each.split("=") for each in settings["subscriptionScopes"].split(";"))
    topics = scopes.get(app_id, "").split(",")
    return [each for each in topics if each and "dead-letter" not in each]


def _backlog(app_id: str, topic: str) -> Json:
    metadata = {
        "namespace": "[parameters('serviceBus')]",
        "topicName": topic,
        "subscriptionName": app_id,
        "messageCount": "500",
    }
    rule = {
        "type": "azure-servicebus",
        "metadata": metadata,
        "identity": "[parameters('identity')]",
    }
    return {"name": f"backlog-{topic.lower()}", "custom": rule}


def _secret(name: str) -> Json:
    return {
        "name": name,
        "keyVaultUrl": f"[concat(parameters('keyVault'), 'secrets/{name}')]",
        "identity": "[parameters('identity')]",
    }


def _name(document: Json) -> str:
    return str(document["metadata"]["name"])


def _dashed(name: str) -> str:
    """Return a name as key vaults and Container Apps allow it."""
    return name.lower().replace("_", "-").replace(".", "-")
