#!/bin/sh
# Builds the image. Needs ESP-IDF in the environment (`. export.sh`) and MicroPython's sources, 1.25 or newer:
#     boards/_image/build.sh ~/micropython
set -eu
[ $# -eq 1 ] || { echo "usage: $0 MICROPYTHON" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
port=$1/ports/esp32
[ -f "$port/esp32_partition.c" ] || { echo "$1: not MicroPython's sources" >&2; exit 2; }
cp "$here/partitions-usage-guard.csv" "$port/"  # ESP-IDF looks for it there
make -C "$1/mpy-cross"
make -C "$port" BOARD=USAGE_GUARD BOARD_DIR="$here" submodules all
echo "$port/build-USAGE_GUARD/firmware.bin"
