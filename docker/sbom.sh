#!/bin/sh
# The packages of the image as a CycloneDX 1.5 document (https://cyclonedx.org/docs/1.5/json/), on standard output.
set -eu
version=$(ferry --version | awk '{ print $2 }')
# shellcheck disable=SC2016  # the names are dpkg's
dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture}\n' | awk -v version="$version" '
    function escaped(text) { gsub(/%/, "%25", text); gsub(/:/, "%3A", text); gsub(/\+/, "%2B", text); return text }
    BEGIN {
        printf "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,\"metadata\":{\"component\":"
        printf "{\"type\":\"application\",\"name\":\"ferry\",\"version\":\"%s\"", version
        printf ",\"licenses\":[{\"license\":{\"id\":\"Apache-2.0\"}}]}},\"components\":["
    }
    $1 == "installed" {
        printf "%s{\"type\":\"library\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"pkg:deb/debian/%s@%s?arch=%s\"}", \
            separator, $2, $3, $2, escaped($3), $4
        separator = ",\n"
    }
    END { print "]}" }'
