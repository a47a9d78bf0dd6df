#!/bin/sh
# The hook before a bridge is stopped: waits until its spool is empty, SECONDS at most (300). The bridge brings the rows to
# Kafka itself, and a pod that is going gets no new requests. What is left when time is up stays on the volume: the bridge
# that takes it next brings it to Kafka, or `ferry spool drain` with that volume mounted.
set -eu
left=${1:-300}
sleep 2 # balancers learn that this bridge goes at the same moment as this hook
while ferry spool status --json 2>/dev/null | grep -q '"events": *[1-9]'; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
        echo "there are events left in the spool" >&2
        exit 1
    fi
    sleep 1
done
