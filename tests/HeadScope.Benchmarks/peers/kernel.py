"""How fast a Jupyter kernel answers, as jupyter_client sees it: started by its installed specification, asked at once.

Reads names of kernels, one a line, and answers each with one line of JSON: the seconds from starting the process to the reply of its
first cell, those of the first completion after it, and those of many small cells and completions after that.
"""

import json
import sys
import time

import ipykernel
import jupyter_client
from jupyter_client.manager import KernelManager

MANY = 60


def seconds(client, send):
    began = time.perf_counter()
    request = send()
    while True:
        reply = client.get_shell_msg(timeout=120)
        if reply["parent_header"].get("msg_id") == request:
            break
    if reply["content"]["status"] != "ok":
        raise RuntimeError(reply["content"])
    return time.perf_counter() - began


def measure(name):
    manager = KernelManager(kernel_name=name)
    began = time.perf_counter()
    manager.start_kernel()
    client = manager.client()
    client.start_channels(hb=False)
    seconds(client, lambda: client.execute("1+1"))
    first = time.perf_counter() - began
    start = "Console.Wri" if "headscope" in name else "pri"
    complete = seconds(client, lambda: client.complete(start))
    cells, completions = [], []
    for _ in range(MANY):
        time.sleep(0.05)  # a person types; the reading of the output must not count for the next cell
        cells.append(seconds(client, lambda: client.execute("1+1")))
        completions.append(seconds(client, lambda: client.complete(start)))
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return {"first": first, "complete": complete, "cells": cells, "completions": completions}


print(f"ipykernel {ipykernel.__version__} through jupyter_client {jupyter_client.__version__}", flush=True)
for line in sys.stdin:
    print(json.dumps(measure(line.strip())), flush=True)
