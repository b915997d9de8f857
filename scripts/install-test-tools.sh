#!/usr/bin/env bash
# Installs what the tests and benches run against, where it is missing: nginx, haproxy, wrk, redis-server,
# promtool (package prometheus), etcd and etcdctl (packages etcd-server and etcd-client).
set -euo pipefail
packages=()
command -v nginx >/dev/null || packages+=(nginx-light)
command -v haproxy >/dev/null || packages+=(haproxy)
command -v wrk >/dev/null || packages+=(wrk)
command -v redis-server >/dev/null || packages+=(redis-server)
command -v etcd >/dev/null || packages+=(etcd-server)
command -v etcdctl >/dev/null || packages+=(etcd-client)
command -v promtool >/dev/null || packages+=(prometheus)
if [ ${#packages[@]} -eq 0 ]; then
  echo "test tools: all there"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "test tools: missing ${packages[*]}; run as root, or: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# The servers are only tools here: none may start by itself (Debian policy, invoke-rc.d asks this script).
if [ ! -e /usr/sbin/policy-rc.d ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}"
