"""``python -m bench``: run the measurements in their own network, process and mount namespaces.

They cannot reach other machines or disturb this one. When the first process ends, the kernel ends all others.
"""

from __future__ import annotations

import os
import sys

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
# The first process is a shell, because it reaps orphaned processes.
FIRST = ["sh", "-c", '"$@"; exit $?', "sh"]

if __name__ == "__main__":
    os.execvp("unshare", [*NAMESPACES, *FIRST, sys.executable, "-m", "bench.run", *sys.argv[1:]])
