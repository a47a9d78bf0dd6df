#!/bin/bash
# Is the container's program alive? Asks /healthz of its admin address. Ports are the defaults of `admin:`, unless
# FERRY_HEALTH_PORT says another. A container that runs a command of `ferry` has nothing to ask, and is healthy.
set -u
port=${FERRY_HEALTH_PORT:-}
if [[ -z $port ]]; then
    case $(</proc/1/comm) in
        ferry-bridge) port=8081 ;;
        ferry-slack) port=8082 ;;
        ferry-mail) port=8083 ;;
        ferry-automatio*) port=8084 ;; # the kernel keeps fifteen characters
        *) exit 0 ;;
    esac
fi
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 2 _ status _ <&3 && [[ $status == 200 ]]
