"""Checks a Jupyter kernel through jupyter_client, the library behind Jupyter, nbconvert and VS Code.

Finds the kernel by its installed specification, runs every check, and prints one line of JSON for each:
{"check": name, "ok": true or false, "detail": the time or why not}.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import zmq
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

KERNEL = "headscope"
LONG = 120  # seconds until a silent kernel is given up; the machine may be busy


class Run:
    """One execute request and everything that came back for it."""

    def __init__(self, client, code, **options):
        stdin = options.pop("answer", None)
        self.client = client
        self.id = client.execute(code, allow_stdin=stdin is not None, **options)
        self.messages = []
        self.prompts = []
        while True:
            if stdin is not None:
                try:
                    asked = client.get_stdin_msg(timeout=0.05)
                    self.prompts.append(asked["content"])
                    client.input(stdin)
                except queue.Empty:
                    pass
            try:
                message = client.get_iopub_msg(timeout=0.2 if stdin is not None else LONG)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != self.id:
                continue
            self.messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        self.reply = reply_to(client, self.id)["content"]

    def of(self, message_type):
        return [m["content"] for m in self.messages if m["msg_type"] == message_type]

    def text(self, stream):
        return "".join(c["text"] for c in self.of("stream") if c["name"] == stream)

    @property
    def types(self):
        return [m["content"]["execution_state"] if m["msg_type"] == "status" else m["msg_type"] for m in self.messages]


def reply_to(client, request_id, channel="shell"):
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        message = getattr(client, f"get_{channel}_msg")(timeout=LONG)
        if message["parent_header"].get("msg_id") == request_id:
            return message
    raise TimeoutError(f"no reply to {request_id}")


def check(condition, detail=""):
    if not condition:
        raise AssertionError(str(detail)[:2000])


def start(transport="tcp", **options):
    manager = KernelManager(kernel_name=KERNEL, transport=transport)
    if transport == "ipc":
        manager.ip = os.path.join(tempfile.mkdtemp(), "kernel")
    manager.start_kernel(**options)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=LONG)
    return manager, client


# What follows runs one after another in one kernel.


def kernel_info(manager, client):
    info = reply_to(client, client.kernel_info())["content"]
    check(info["status"] == "ok" and info["implementation"] == "headscope", info)
    check(tuple(map(int, info["protocol_version"].split("."))) >= (5, 3), info)
    language = info["language_info"]
    check(language["name"] == "C#" and language["file_extension"] == ".cs" and language["mimetype"] == "text/x-csharp", language)
    check(info["banner"], info)


def control_kernel_info(manager, client):
    message = client.session.msg("kernel_info_request", {})
    client.control_channel.send(message)
    check(reply_to(client, message["header"]["msg_id"], "control")["content"]["status"] == "ok")


def execute_result(manager, client):
    first = Run(client, "var x = 20;")
    check(first.reply["status"] == "ok" and not first.of("execute_result"), first.messages)
    second = Run(client, "x + 1")
    check(second.types == ["busy", "execute_input", "execute_result", "idle"], second.types)
    result = second.of("execute_result")[0]
    check(result["data"]["text/plain"] == "21", result)
    check(result["execution_count"] == second.reply["execution_count"] == first.reply["execution_count"] + 1, second.reply)
    check(second.of("execute_input")[0]["code"] == "x + 1")


def streams(manager, client):
    run = Run(client, 'Console.WriteLine("hello"); Console.Error.WriteLine("trouble"); Console.Write("é \U0001F600");')
    check(run.text("stdout") == "hello\né \U0001F600", run.messages)
    check(run.text("stderr") == "trouble\n", run.messages)
    check(run.types[0] == "busy" and run.types[-1] == "idle", run.types)


def streams_of_threads(manager, client):
    run = Run(client, "Parallel.For(0, 200, i => Console.WriteLine($\"line {i:d4}\"));")
    lines = run.text("stdout").splitlines()
    check(sorted(lines) == [f"line {i:04d}" for i in range(200)], lines)


def streams_flow_while_running(manager, client):
    request = client.execute('Console.WriteLine("early"); await Task.Delay(1500); Console.WriteLine("late");')
    seen = {}
    while "idle" not in seen:
        message = client.get_iopub_msg(timeout=LONG)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] == "stream":
            for word in message["content"]["text"].split():
                seen[word] = time.monotonic()
        elif message["msg_type"] == "status":
            seen[message["content"]["execution_state"]] = time.monotonic()
    reply_to(client, request)
    check(seen["late"] - seen["early"] > 0.7, seen)


def much_output(manager, client):
    run = Run(client, 'for (var i = 0; i < 20000; i++) { Console.WriteLine($"{i} " + new string(\'x\', 100)); }')
    check(len(run.text("stdout").splitlines()) == 20000, len(run.text("stdout")))


def large_cell(manager, client):
    run = Run(client, '"' + "y" * 300_000 + '".Length')
    check(run.of("execute_result")[0]["data"]["text/plain"] == "300000", run.reply)


def compile_error(manager, client):
    run = Run(client, "var fine = 1;\nvar b = fine + missing;")
    error = run.of("error")[0]
    check(run.reply["status"] == "error" and run.reply["ename"] == error["ename"] == "CompilationError", run.reply)
    check("CS0103" in error["evalue"] and "missing" in error["evalue"], error)
    check(any("~~~~~~~" in line for line in error["traceback"]), error)
    check(run.types == ["busy", "execute_input", "error", "idle"], run.types)


def runtime_error(manager, client):
    run = Run(client, 'void Fail() => throw new InvalidOperationException("no luck");\nFail();')
    error = run.of("error")[0]
    check(error["ename"] == "System.InvalidOperationException" and error["evalue"] == "no luck", error)
    text = "\n".join(error["traceback"])
    check("line 2" in text and "Microsoft.CodeAnalysis" not in text, text)


def error_aborts_queued_cells(manager, client):
    first = client.execute('await Task.Delay(500); throw new Exception("stop");')
    second = client.execute("1 + 1")
    info = client.kernel_info()
    check(reply_to(client, first)["content"]["status"] == "error")
    check(reply_to(client, second)["content"]["status"] == "aborted")
    check(reply_to(client, info)["content"]["status"] == "ok")
    check(Run(client, "1 + 1").reply["status"] == "ok")


def error_without_stop_on_error(manager, client):
    first = client.execute('throw new Exception("go on");', stop_on_error=False)
    second = client.execute("2 + 2")
    check(reply_to(client, first)["content"]["status"] == "error")
    check(reply_to(client, second)["content"]["status"] == "ok")


def silent(manager, client):
    before = Run(client, "var quiet = 1;").reply["execution_count"]
    run = Run(client, 'Console.WriteLine("unheard"); quiet + 1', silent=True)
    check(run.types == ["busy", "idle"] and run.reply["status"] == "ok", run.types)
    check(Run(client, "quiet").reply["execution_count"] == before + 1)


def store_history_off(manager, client):
    before = Run(client, "var kept = 1;").reply["execution_count"]
    run = Run(client, "kept", store_history=False)
    check(run.of("execute_result"), run.types)
    check(Run(client, "kept").reply["execution_count"] == before + 1)


def user_expressions(manager, client):
    run = Run(client, "var u = 6;", user_expressions={"right": "u * 7", "wrong": "u * nothing"})
    values = run.reply["user_expressions"]
    check(values["right"]["status"] == "ok" and values["right"]["data"]["text/plain"] == "42", values)
    check(values["wrong"]["status"] == "error", values)


def display_and_update(manager, client):
    run = Run(client, 'var shown = display(HTML("<b>one</b>")); shown.Update(HTML("<b>two</b>"));')
    shown, updated = run.of("display_data")[0], run.of("update_display_data")[0]
    check(shown["data"]["text/html"] == "<b>one</b>" and updated["data"]["text/html"] == "<b>two</b>", run.messages)
    check(shown["transient"]["display_id"] == updated["transient"]["display_id"], run.messages)
    later = Run(client, "shown.Update(3);")
    check(later.of("update_display_data")[0]["transient"]["display_id"] == shown["transient"]["display_id"], later.messages)


def json_is_json(manager, client):
    run = Run(client, 'class Chart { }\nFormatter.Register<Chart>(_ => "{\\"data\\": [1, 2]}", "application/vnd.plotly.v1+json");\n'
                      'Formatter.SetPreferredMimeTypesFor(typeof(Chart), "application/vnd.plotly.v1+json");\nnew Chart()')
    check(run.of("execute_result")[0]["data"]["application/vnd.plotly.v1+json"] == {"data": [1, 2]}, run.messages)


def clear_output(manager, client):
    run = Run(client, 'Console.Write("a"); ClearOutput(wait: true); Console.Write("b");')
    check([t for t in run.types if t not in ("busy", "idle", "execute_input")] == ["stream", "clear_output", "stream"], run.types)


def progress_appears_by_itself(manager, client):
    run = Run(client, 'var words = string.Join(" ", Enumerable.Repeat("the cat sat on the mat and", 4000));\n'
                      'Lorsa.Train(Model.Load("demo"), 1, LorsaCorpus.FromTexts([words]), new() { Heads = 64, QkHeads = 8, TopK = 4, ContextLength = 32, '
                      'BatchSequences = 8, Tokens = 40_000 }).Config.Heads')
    check(run.of("display_data") and run.of("display_data")[0]["data"]["text/html"], (run.types, run.of("error")))
    check("training" in run.of("update_display_data")[-1]["data"]["text/plain"], (run.types, run.of("update_display_data")[-1:]))


def complete(manager, client):
    Run(client, "var letters = new List<string>();")
    code = 'var s = "\U0001F600"; letters.Ad'
    reply = reply_to(client, client.complete(code))["content"]
    check(reply["status"] == "ok" and "Add" in reply["matches"] and "AddRange" in reply["matches"], reply["matches"][:20])
    check(reply["cursor_start"] == len(code) - 2 and reply["cursor_end"] == len(code), reply)
    types = reply["metadata"]["_jupyter_types_experimental"]
    check(any(t["text"] == "Add" and t["type"] == "function" and "Add(" in t["signature"] for t in types), types[:3])


def inspect(manager, client):
    reply = reply_to(client, client.inspect("Console.WriteLine(", 18))["content"]
    check(reply["found"] and "Console.WriteLine(" in reply["data"]["text/plain"], reply)
    reply = reply_to(client, client.inspect("new Head(1, 2)", 6))["content"]
    check(reply["found"] and "Head" in reply["data"]["text/plain"], reply)
    check(not reply_to(client, client.inspect("   ", 1))["content"]["found"])


def is_complete(manager, client):
    for code, status in [("1 + 1", "complete"), ("if (true) {", "incomplete"), ("int x = ;", "invalid"), ("foreach (var a in b)\n{\n", "incomplete")]:
        reply = reply_to(client, client.is_complete(code))["content"]
        check(reply["status"] == status, (code, reply))


def history(manager, client):
    Run(client, "var remembered = 1;")
    Run(client, "remembered + 1")
    tail = reply_to(client, client.history(hist_access_type="tail", n=2, output=True))["content"]["history"]
    check([entry[2] for entry in tail] == [["var remembered = 1;", None], ["remembered + 1", "2"]], tail)
    found = reply_to(client, client.history(hist_access_type="search", pattern="*remembered + *", output=False))["content"]["history"]
    check([entry[2] for entry in found] == ["remembered + 1"], found)
    line = found[0][1]
    ranged = reply_to(client, client.history(hist_access_type="range", session=0, start=line, stop=line + 1))["content"]["history"]
    check(len(ranged) == 1, ranged)


def stdin(manager, client):
    run = Run(client, "Console.ReadLine() + \"!\"", answer="Ada")
    check(run.of("execute_result")[0]["data"]["text/plain"] == "Ada!", run.messages)
    run = Run(client, 'GetPassword("Key? ").Length', answer="secret")
    check(run.prompts == [{"prompt": "Key? ", "password": True}], run.prompts)
    check(run.of("execute_result")[0]["data"]["text/plain"] == "6", run.messages)


def stdin_not_allowed(manager, client):
    run = Run(client, "Console.ReadLine()")
    check(run.reply["status"] == "error" and "input" in run.reply["evalue"], run.reply)


def interrupt_token(manager, client):
    check(interrupted(manager, client, "await Task.Delay(60000, cancellationToken);") < 1, "slower than a second")


def interrupt_of_code_that_does_not_listen(manager, client):
    # The second and third were stopped from outside once, which ended the process every other time.
    for code in ["while (true) { }", "while (true) { var text = new string('x', 100); }",
                 "while (true) System.Text.Json.JsonSerializer.Serialize(new int[100]);", "while (true) display(1);", "Thread.Sleep(100000);"]:
        took = min(interrupted(manager, client, code) for _ in range(2))
        check(took < 1, f"{code}: {took:.2f} s")
    check(Run(client, "1 + 1").reply["status"] == "ok")


def interrupt_while_asking(manager, client):
    request = client.execute("Console.ReadLine()", allow_stdin=True)
    client.get_stdin_msg(timeout=LONG)
    manager.interrupt_kernel()
    check(reply_to(client, request)["content"]["ename"] == "Interrupted")
    drain(client, request)


def interrupt_when_idle(manager, client):
    manager.interrupt_kernel()
    time.sleep(1)  # nobody says when it has arrived, and after that it would rightly stop the cell
    check(Run(client, "1 + 1").reply["status"] == "ok")


def interrupt_by_signal(manager, client):
    request = client.execute("while (true) { }")
    busy(client, request)
    os.kill(manager.provisioner.process.pid, signal.SIGINT)
    check(reply_to(client, request)["content"]["ename"] == "Interrupted")
    drain(client, request)
    check(Run(client, "1 + 1").reply["status"] == "ok")


def busy(client, request):
    while True:
        message = client.get_iopub_msg(timeout=LONG)
        if message["parent_header"].get("msg_id") == request and message["msg_type"] == "execute_input":
            time.sleep(0.5)
            return


def drain(client, request):
    while True:
        message = client.get_iopub_msg(timeout=LONG)
        if message["parent_header"].get("msg_id") == request and message["content"].get("execution_state") == "idle":
            return


def interrupted(manager, client, code):
    request = client.execute(code)
    busy(client, request)
    began = time.monotonic()
    manager.interrupt_kernel()
    reply = reply_to(client, request)["content"]
    took = time.monotonic() - began
    check(reply["status"] == "error" and reply["ename"] == "Interrupted", reply)
    drain(client, request)
    return took


def comm_info(manager, client):
    check(reply_to(client, client.comm_info())["content"] == {"status": "ok", "comms": {}})


def comm_open_is_closed(manager, client):
    message = client.session.msg("comm_open", {"comm_id": "c1", "target_name": "nothing", "data": {}})
    client.shell_channel.send(message)
    while True:
        answer = client.get_iopub_msg(timeout=LONG)
        if answer["parent_header"].get("msg_id") == message["header"]["msg_id"] and answer["msg_type"] == "comm_close":
            check(answer["content"]["comm_id"] == "c1", answer)
            break
    for kind in ("comm_msg", "comm_close"):
        client.shell_channel.send(client.session.msg(kind, {"comm_id": "c1", "data": {}}))
    check(Run(client, "1 + 1").reply["status"] == "ok")


def unknown_and_malformed_requests(manager, client):
    client.shell_channel.send(client.session.msg("no_such_request", {}))
    client.shell_channel.send(client.session.msg("execute_request", {"code": 5}))
    client.shell_channel.send(client.session.msg("complete_request", {"code": "x", "cursor_pos": "here"}))
    check(Run(client, "1 + 1").reply["status"] == "ok")


def heartbeat(manager, client):
    context = zmq.Context.instance()
    socket = context.socket(zmq.REQ)
    socket.connect(f"tcp://{manager.ip}:{manager.hb_port}")
    for _ in range(3):
        socket.send(b"ping")
        check(socket.poll(LONG * 1000) and socket.recv() == b"ping")
    socket.close(0)


def wrong_signatures_are_dropped(manager, client):
    context = zmq.Context.instance()
    socket = context.socket(zmq.DEALER)
    socket.connect(f"tcp://{manager.ip}:{manager.shell_port}")
    for key in (b"not the key", b""):
        forger = Session(key=key)
        forger.send(socket, forger.msg("kernel_info_request", {}))
    socket.send_multipart([b"<IDS|MSG>", b"", b"{}"])
    socket.send_multipart([b"nothing"])
    check(not socket.poll(1500), "a forged request was answered")
    honest = Session(key=manager.session.key)
    honest.send(socket, honest.msg("kernel_info_request", {}))
    check(socket.poll(LONG * 1000), "an honest request was not answered")
    socket.close(0)


def another_client_sees_the_output(manager, client):
    other = manager.client()
    other.start_channels()
    other.wait_for_ready(timeout=LONG)
    request = client.execute('Console.Write("for all")')
    text = ""
    while "for all" not in text:
        message = other.get_iopub_msg(timeout=LONG)
        if message["parent_header"].get("msg_id") == request and message["msg_type"] == "stream":
            text += message["content"]["text"]
    reply_to(client, request)
    drain(client, request)
    other.stop_channels()


def restart(manager, client):
    Run(client, "var before = 1;")
    manager.restart_kernel(now=False)
    client.wait_for_ready(timeout=LONG)
    check(Run(client, "before").reply["ename"] == "CompilationError")
    check(Run(client, "1 + 1").reply["execution_count"] == 2)


def shutdown_ends_the_process(manager, client):
    process = manager.provisioner.process
    Run(client, "1 + 1")
    request = client.shutdown()
    check(reply_to(client, request, "control")["content"]["status"] == "ok")
    check(process.wait(timeout=30) == 0, process.poll())


def ipc(manager, client):
    manager, client = start("ipc")
    try:
        check(Run(client, "6 * 7").of("execute_result")[0]["data"]["text/plain"] == "42")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def listens_only_where_told(manager, client):
    manager, client = start()
    try:
        listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=False).stdout
        mine = [line.split()[3] for line in listening.splitlines() if f"pid={manager.provisioner.process.pid}," in line]
        check(len(mine) == 5 and all(address.startswith("127.0.0.1:") for address in mine), (mine, listening))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def end_with_the_parent(manager, client):
    code = (
        "from jupyter_client.manager import KernelManager; import os, sys\n"
        f"m = KernelManager(kernel_name='{KERNEL}'); m.start_kernel(stdout=sys.stderr)\n"
        "print(m.provisioner.process.pid, flush=True); os._exit(0)"
    )
    # The kernel must not hold the pipe that is read here, or the parent would stay unreaped until it ends.
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    pid = int(parent.stdout.readline())
    parent.wait(timeout=LONG)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the kernel outlived the program that started it")


TOGETHER = [
    kernel_info, control_kernel_info, execute_result, streams, streams_of_threads, streams_flow_while_running, much_output, large_cell,
    compile_error, runtime_error, error_aborts_queued_cells, error_without_stop_on_error, silent, store_history_off, user_expressions,
    display_and_update, json_is_json, clear_output, progress_appears_by_itself, complete, inspect, is_complete, history, stdin,
    stdin_not_allowed, interrupt_token, interrupt_of_code_that_does_not_listen, interrupt_while_asking, interrupt_when_idle,
    interrupt_by_signal, comm_info, comm_open_is_closed, unknown_and_malformed_requests, heartbeat, wrong_signatures_are_dropped,
    another_client_sees_the_output, restart, shutdown_ends_the_process,
]
ALONE = [ipc, listens_only_where_told, end_with_the_parent]


def main(names):
    # A shell that starts the tests in the background has them ignore this signal, and a kernel would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if names == ["--list"]:
        print("\n".join(f.__name__ for f in TOGETHER + ALONE))
        return
    chosen = [f for f in TOGETHER + ALONE if not names or f.__name__ in names]
    manager = client = None
    if any(f in TOGETHER for f in chosen):
        manager, client = start()
    for function in chosen:
        began = time.monotonic()
        try:
            function(manager, client)
            result = {"check": function.__name__, "ok": True, "detail": f"{time.monotonic() - began:.1f} s"}
        except Exception as error:  # every check is reported, whatever it met
            result = {"check": function.__name__, "ok": False, "detail": "".join(traceback.format_exception(error)[-3:])}
        print(json.dumps(result), flush=True)
    if client is not None:
        client.stop_channels()
    if manager is not None and manager.is_alive():
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main(sys.argv[1:])
