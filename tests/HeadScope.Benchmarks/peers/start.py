"""How long a kernel takes from the start of its process until a cell has shown its result, as jupyter_client sees it.

Reads a headscope program and a cell, one pair a line with a tab between them, and answers each with the wall and the processor seconds.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

import jupyter_client


def processor():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(program, cell):
    with tempfile.TemporaryDirectory() as folder:
        connection, _ = jupyter_client.write_connection_file(os.path.join(folder, "connection.json"))
        before = processor()
        began = time.perf_counter()
        kernel = subprocess.Popen([program, "kernel", "start", "-f", connection])
        try:
            client = jupyter_client.BlockingKernelClient(connection_file=connection)
            client.load_connection_file()
            client.start_channels(hb=False)
            request = client.execute(cell)
            shown = False
            while not shown:
                message = client.get_iopub_msg(timeout=120)
                if message["parent_header"].get("msg_id") == request:
                    if message["msg_type"] == "error":
                        raise RuntimeError("\n".join(message["content"]["traceback"]))
                    shown = message["msg_type"] in ("execute_result", "display_data")
            wall = time.perf_counter() - began
            client.stop_channels()
        finally:
            kernel.terminate()
            kernel.wait()
        return wall, processor() - before


print(f"jupyter_client {jupyter_client.__version__}", flush=True)
for line in sys.stdin:
    print(*measure(*line.strip().split("\t")), flush=True)
