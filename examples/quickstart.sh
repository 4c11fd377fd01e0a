#!/bin/sh
# A workload for the README's first run: it shows what it was given, asks the endpoint beside it,
# and leaves an orphan behind for mak-init to reap.
set -eu
echo "the workload runs on $MAK_PLATFORM, its data is in $QUICKSTART_DATA_DIR"
/proc/$PPID/exe healthcheck --url http://127.0.0.1:9808/health
echo "the endpoint says: healthy"
(sleep 1 &)
exit 7
