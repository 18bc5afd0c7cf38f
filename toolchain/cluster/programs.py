"""The programs of Kubernetes that the manifests are tried on: built from source, as daprd is."""

from toolchain.dapr.programs import Program

VERSION = "k8s.io/component-base/version"


def _kubernetes(name: str, role: str, minutes: int) -> Program:
    return Program(
        name=name,
        role=role,
        at_least=(1, 34, 0),
        sources="kubernetes",
        module="k8s.io/kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        flags=(
            "-ldflags",
            f"-s -w -X {VERSION}.gitVersion=v{{version}} -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor=34",
        ),
        minutes=minutes,
        says_version=name != "kubectl",
    )


ETCD = Program(
    name="etcd",
    role="where Kubernetes keeps its objects",
    at_least=(3, 6, 0),
    sources="kubernetes",
    module="go.etcd.io/etcd/server/v3",
    package="go.etcd.io/etcd/server/v3",
    minutes=1,
)
API_SERVER = _kubernetes("kube-apiserver", "the API of Kubernetes", 6)
KUBECTL = _kubernetes("kubectl", "the command line of Kubernetes", 2)
CONTROLLERS = _kubernetes("kube-controller-manager", "what makes pods", 2)
SCHEDULER = _kubernetes("kube-scheduler", "what gives each pod a node", 1)
KUBELET = _kubernetes("kubelet", "what runs pods on a node", 1)
PROXY = _kubernetes("kube-proxy", "what leads a Service to its pods", 1)
NAMES = Program(
    name="coredns",
    role="the DNS of a cluster",
    at_least=(1, 13, 0),
    sources="cluster",
    module="github.com/coredns/coredns",
    package="github.com/coredns/coredns",
    minutes=4,
    says_version=False,
)
HELM = Program(
    name="helm",
    role="what renders Dapr's chart",
    at_least=(3, 19, 0),
    sources="cluster",
    module="helm.sh/helm/v3",
    package="helm.sh/helm/v3/cmd/helm",
    minutes=2,
    says_version=False,
)
POLICIES = Program(
    name="kube-router",
    role="what enforces network policies",
    at_least=(2, 1, 0),
    sources="policies",
    module="github.com/cloudnativelabs/kube-router/v2",
    package="github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    minutes=3,
    says_version=False,
)

FOR_MANIFESTS = (ETCD, API_SERVER, KUBECTL)
"""What an API server takes that admits manifests, and runs none of them."""
FOR_NODE = (*FOR_MANIFESTS, CONTROLLERS, SCHEDULER, KUBELET, PROXY, POLICIES)
"""What runs pods as well."""
