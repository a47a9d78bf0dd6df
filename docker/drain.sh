#!/bin/sh
# Waits until the spool of the bridge that runs here is empty, SECONDS at most (300): the hook before a bridge is taken
# away for good. The bridge brings the rows to Kafka itself; while it is being removed it gets no new requests.
# What is left when time is up stays on the volume: mount it and run `ferry spool drain`.
set -eu
left=${1:-300}
until ferry spool status --json | grep -q '"events": *0[,}]'; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || exit 1
    sleep 1
done
