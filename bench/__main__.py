"""``python -m bench``: the measurements, in network, process and mount namespaces of their own.

Nothing of them reaches another machine, meets what runs on this one, or outlives them: the kernel ends every process
of the namespaces with the first.
"""

from __future__ import annotations

import os
import sys

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
# A shell as the first process: it collects the children that others leave behind.
FIRST = ["sh", "-c", '"$@"; exit $?', "sh"]

if __name__ == "__main__":
    os.execvp("unshare", [*NAMESPACES, *FIRST, sys.executable, "-m", "bench.run", *sys.argv[1:]])
