"""The workload of tests/acceptance.sh under the name the profile starts: `python -m ipfs_kit_py`.

Leaves the marker `started` in the data directory, says what environment it was given, and ends with 0 on TERM.
"""

import os
import signal

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with open(os.path.join(os.environ["IPFS_KIT_DATA_DIR"], "started"), "w") as marker:
    marker.write("yes\n")
names = ("IPFS_KIT_PLATFORM", "IPFS_KIT_ARCH", "IPFS_KIT_ARCH_NORMALIZED", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LOG_LEVEL")
print("workload:", *(f"{name}={os.environ.get(name)}" for name in names), flush=True)
signal.sigwait({signal.SIGTERM})
print("workload: done", flush=True)
