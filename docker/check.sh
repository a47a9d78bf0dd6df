#!/usr/bin/env bash
# What takes tools that Ferry's other tests do without.
#
#   check.sh image    build the image, run the demo in it without any right on a read-only root, read its SBOM; with docker,
#                     or podman and buildah. BASE chooses the Debian; FERRY_BUILD_FLAGS, FERRY_RUN_FLAGS go to the tool.
#   check.sh chart    lint the Helm chart and hold what it renders against the schemas of Kubernetes; with helm, python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

image() {
    local run=docker build=(docker build)
    read -ra build_flags <<<"${FERRY_BUILD_FLAGS:-}"
    read -ra run_flags <<<"${FERRY_RUN_FLAGS:-}"
    if ! docker info >/dev/null 2>&1; then
        run=podman build=(buildah bud --format docker)
    fi
    "${build[@]}" "${build_flags[@]}" -f docker/Dockerfile ${BASE:+--build-arg BASE="$BASE"} -t ferry:check .
    local inside=("$run" run --rm --read-only --tmpfs /tmp --cap-drop ALL "${run_flags[@]}")
    "${inside[@]}" ferry:check demo --once
    [[ $("${inside[@]}" --entrypoint id ferry:check -u) == 10001 ]]
    "${inside[@]}" --entrypoint cat ferry:check /usr/share/ferry/sbom.cdx.json |
        python3 -c 'import json, sys; print(len(json.load(sys.stdin)["components"]), "packages in the SBOM")'
    "$run" image inspect --format '{{.Size}}' ferry:check | awk '{ printf "%.0f MB in all\n", $1 / 1e6 }'
    echo 'image: passed'
}

# Each document of standard input, by kind and name; those of other people's kinds must at least be whole.
schemas='
import sys, yaml, kubernetes_validate
of_others = {"ScaledObject", "PodMonitor"}
for document in filter(None, yaml.safe_load_all(sys.stdin)):
    kind, name = document["kind"], document["metadata"]["name"]
    if kind in of_others:
        assert document["apiVersion"] and document["spec"], kind
    else:
        kubernetes_validate.validate(document, sys.argv[1], strict=True)
    print(f"{kind} {name}")
'

chart() {
    local chart=docker/helm/ferry venv=build/chart-venv kubernetes=1.30
    local setting everything=(--kube-version "$kubernetes")
    for setting in bridge.ingress.enabled=true bridge.ingress.tlsSecret=t bridge.secret=b keda.enabled=true \
        keda.authenticationRef=k podMonitor.enabled=true workers.slack.enabled=true workers.slack.secret=s \
        workers.mail.enabled=true workers.automation.enabled=true; do
        everything+=(--set "$setting")
    done
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check kubernetes-validate==1.37.0 PyYAML
    helm lint --strict "$chart"
    helm template ferry "$chart" --kube-version "$kubernetes" | "$venv/bin/python" -c "$schemas" "$kubernetes"
    helm template ferry "$chart" "${everything[@]}" | "$venv/bin/python" -c "$schemas" "$kubernetes"
    echo 'chart: passed'
}

case ${1:-} in
    image | chart) "$1" ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
