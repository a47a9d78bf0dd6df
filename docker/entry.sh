#!/bin/sh
# What the image runs: `bridge`, `slack`, `mail` and `automation` are programs of their own, all else is for `ferry`.
set -eu
case ${1:-help} in
    bridge | slack | mail | automation)
        program=ferry-$1
        shift
        exec "$program" "$@"
        ;;
    ferry | ferry-*) exec "$@" ;;
    *) exec ferry "$@" ;;
esac
