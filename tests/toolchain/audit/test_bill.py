"""The bill of materials of a Go program."""

from toolchain.audit.bill import go_bill

SAID = """\
bin/daprd: go1.26.4
	path	github.com/dapr/dapr/cmd/daprd
	mod	github.com/dapr/dapr	v1.18.2	h1:aaa=
	dep	cel.dev/expr	v0.25.1	h1:bbb=
	dep	example.org/old	v1.0.0
	=>	example.org/new	v1.2.0	h1:ccc=
	build	-trimpath=true
"""


def test_the_bill_of_a_program_has_what_its_build_recorded() -> None:
    document = go_bill("daprd", SAID)

    assert document["metadata"]["component"]["version"] == "v1.18.2"
    assert [each["purl"] for each in document["components"]] == [
        "pkg:golang/cel.dev/expr@v0.25.1",
        "pkg:golang/example.org/new@v1.2.0",
    ]
    assert document["components"][0]["properties"][0]["value"] == "h1:bbb="
