#!/bin/sh
# Installs what the GPU tests run on. Mesa's lavapipe 25 (a Vulkan driver on the CPU) is only in
# Debian's backports, whose source is derived from the sources the machine already uses.
set -eu

sources=/etc/apt/sources.list.d
backports="$sources/backports.sources"
if [ ! -f "$backports" ]; then
  # The first stanza of the machine's own file, for another suite.
  sed -e '/^$/,$d' -e '/^#/d' -e 's/^Suites:.*/Suites: bookworm-backports/' \
    "$sources/debian.sources" >"$backports"
fi
if [ ! -f /usr/share/vulkan/icd.d/lvp_icd.json ]; then
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -t bookworm-backports mesa-vulkan-drivers libvulkan1
fi
