"""How fast a Jupyter kernel answers, as jupyter_client sees it: started by its installed specification, asked at once.

Reads names of kernels, one a line, and answers each with one line of JSON: the seconds from starting the process until it says what it is and
until the reply of its first cell, the processor seconds and the bytes of memory by then, the seconds of the first completion after it, and
those of many small cells and completions after that.
"""

import json
import os
import subprocess
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


def processor_seconds(process):
    with open(f"/proc/{process}/stat") as file:
        times = file.read().rsplit(")", 1)[1].split()[11:15]  # user and system time, its own and that of ended children
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def memory(process):
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(name):
    manager = KernelManager(kernel_name=name)
    began = time.perf_counter()
    manager.start_kernel(stdout=subprocess.DEVNULL)  # this one is for the answers
    client = manager.client()
    client.start_channels(hb=False)
    seconds(client, client.kernel_info)
    ready = time.perf_counter() - began
    seconds(client, lambda: client.execute("1+1"))
    first = time.perf_counter() - began
    process = manager.provisioner.process.pid
    processor, resident = processor_seconds(process), memory(process)
    start = "pri" if name == "python3" else "Console.Wri"
    complete = seconds(client, lambda: client.complete(start))
    cells, completions = [], []
    for _ in range(MANY):
        time.sleep(0.05)  # a person types; the reading of the output must not count for the next cell
        cells.append(seconds(client, lambda: client.execute("1+1")))
        completions.append(seconds(client, lambda: client.complete(start)))
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return {"ready": ready, "first": first, "processor": processor, "memory": resident, "complete": complete, "cells": cells, "completions": completions}


print(f"ipykernel {ipykernel.__version__}, all through jupyter_client {jupyter_client.__version__}", flush=True)
for line in sys.stdin:
    print(json.dumps(measure(line.strip())), flush=True)
