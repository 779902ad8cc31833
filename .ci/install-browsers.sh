#!/bin/sh
# Installs what the browser and GPU tests run on: Chromium, Firefox, WebKitGTK, Mesa. Mesa's lavapipe 25 (a Vulkan driver on the CPU) is only in
# Debian's backports, whose source is derived from the sources the machine already uses.
set -eu

missing=
command -v chromium >/dev/null || missing="$missing chromium"
command -v firefox-esr >/dev/null || missing="$missing firefox-esr"
command -v WebKitWebDriver >/dev/null || missing="$missing webkit2gtk-driver libwebkit2gtk-4.1-0"
command -v Xvfb >/dev/null || missing="$missing xvfb"
if [ -n "$missing" ]; then
  apt-get update
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
fi

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
