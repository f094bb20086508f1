#!/usr/bin/env bash
# libfaketime is told to move the wall clock alone, and to leave monotonic clocks to the system, as setting a real
# clock does. Python's time.sleep waits on a monotonic clock.
# Seen here: every sleep ends at once, with EINVAL.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq libfaketime 2> /dev/null && dpkg -x libfaketime_*.deb .)
library=$(find "$work" -name libfaketime.so.1)

echo "libfaketime $(dpkg-deb -f "$work"/libfaketime_*.deb Version)"
echo "expected: the date is a week ahead, and a sleep of 0.2 s takes 0.2 s"
sleeping='
import datetime, time
began = time.monotonic()
try:
    time.sleep(0.2)
    ended = "ends well"
except OSError as error:
    ended = f"ends with {error}"
print(f"{datetime.date.today()}: a sleep of 0.2 s {ended}, after {time.monotonic() - began:.1f} s")
'
seen=$(FAKETIME=+7d FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD=$library python3.11 -c "$sleeping")
echo "seen: $seen"
[[ $seen == *"ends with [Errno 22] Invalid argument, after 0.0 s" ]] || {
    echo "changed: a program sleeps"
    exit 1
}
