using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using HeadScope.Notebooks.Kernel.Zmtp;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Kernel;

/// <summary>
/// A Jupyter kernel for C#: speaks the messaging protocol 5.3 over ZMTP with the clients that a connection file names.
/// </summary>
/// <remarks>
/// Requests on the shell socket run one after another; those on the control socket (interrupt, shutdown) never wait for them. Messages
/// that are malformed or wrongly signed are ignored.
/// </remarks>
internal sealed class JupyterKernel : IAsyncDisposable
{
    private const int WaitingRequests = 4096;

    // How long requests that a client has sent together may take to arrive, when the first of them fails.
    private static readonly TimeSpan OnTheirWay = TimeSpan.FromMilliseconds(30);
    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(2);

    private readonly string sessionId = Guid.NewGuid().ToString();
    private readonly MessageSigner signer;
    private readonly CSharpSession session;
    private readonly KernelHistory history = new();
    private readonly ZmtpRouter shell;
    private readonly ZmtpRouter control;
    private readonly ZmtpRouter stdin;
    private readonly ZmtpPublisher iopub;
    private readonly ZmtpEcho heartbeat;
    private readonly Channel<JupyterMessage> shellRequests = Requests();
    private readonly Channel<JupyterMessage> controlRequests = Requests();
    private readonly Channel<JupyterMessage> typed = Requests();
    private readonly TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock interruptGate = new();
    private CancellationTokenSource? running;
    private int executionCount;

    /// <summary>Listens where the connection file says; <see cref="RunAsync"/> answers.</summary>
    /// <param name="connection">The addresses and the key.</param>
    /// <param name="extensions">What the host adds to the session.</param>
    /// <exception cref="IOException">A port is taken, or the address is not of this machine.</exception>
    /// <exception cref="NotSupportedException">The transport is neither tcp nor ipc.</exception>
    public JupyterKernel(ConnectionFile connection, params IReadOnlyList<SessionExtension> extensions)
    {
        ArgumentNullException.ThrowIfNull(connection);
        session = new CSharpSession(extensions);
        signer = new MessageSigner(connection.Key);
        shell = new ZmtpRouter(connection.Endpoint(connection.ShellPort), ZmtpLimits.MessageBytes, (peer, frames) => ReceiveAsync(peer, frames, shellRequests));
        control = new ZmtpRouter(connection.Endpoint(connection.ControlPort), ZmtpLimits.ShortMessageBytes, (peer, frames) => ReceiveAsync(peer, frames, controlRequests));
        stdin = new ZmtpRouter(connection.Endpoint(connection.StdinPort), ZmtpLimits.ShortMessageBytes, (peer, frames) => ReceiveAsync(peer, frames, typed));
        iopub = new ZmtpPublisher(connection.Endpoint(connection.IopubPort));
        heartbeat = new ZmtpEcho(connection.Endpoint(connection.HeartbeatPort));
    }

    private IEnumerable<ZmtpServer> Sockets => [shell, control, stdin, iopub, heartbeat];

    /// <summary>Answers until a client asks for the end, the client that started the kernel is gone, or the token is cancelled.</summary>
    /// <param name="stop">Ends the kernel.</param>
    public async Task RunAsync(CancellationToken stop = default)
    {
        foreach (var socket in Sockets)
        {
            socket.Start();
        }

        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            Interrupt();
        });
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
        {
            signal.Cancel = true;
            stopped.TrySetResult();
        });
        using var stopping = stop.Register(() => stopped.TrySetResult());
        using var ending = new CancellationTokenSource();
        Publish("status", new JsonObject { ["execution_state"] = "starting" }, parent: null);
        _ = session.WarmUpAsync();
        var serving = new[]
        {
            Task.Run(() => ServeShellAsync(ending.Token), CancellationToken.None),
            Task.Run(() => ServeControlAsync(ending.Token), CancellationToken.None),
            Task.Run(() => ParentProcess.WaitForEndAsync(ending.Token), CancellationToken.None),
        };
        await Task.WhenAny([stopped.Task, .. serving]);
        Interrupt();
        foreach (var socket in Sockets)
        {
            socket.Flush(LastWords);
        }

        await ending.CancelAsync();
        await Task.WhenAny(Task.WhenAll(serving), Task.Delay(LastWords, CancellationToken.None));
    }

    /// <summary>Interrupts the running cell, if any.</summary>
    public void Interrupt()
    {
        lock (interruptGate)
        {
            // What the token calls may be the user's; it must not hold up whoever interrupts. And the pool may be busy with the cell.
            if (running is { } source)
            {
                new Thread(() => Cancel(source)) { IsBackground = true, Name = "interrupt" }.Start();
            }
        }
    }

    private static void Cancel(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (Exception exception) when (exception is AggregateException or ObjectDisposedException)
        {
            // The cell's own callbacks failed, or the cell has just ended.
        }
    }

    /// <summary>Closes the sockets.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var socket in Sockets)
        {
            await socket.DisposeAsync();
        }

        session.Dispose();
    }

    private static Channel<JupyterMessage> Requests() => Channel.CreateBounded<JupyterMessage>(WaitingRequests);

    private ValueTask ReceiveAsync(ZmtpConnection peer, IReadOnlyList<byte[]> frames, Channel<JupyterMessage> requests) =>
        JupyterMessage.Parse(frames, signer, peer) is { } message ? requests.Writer.WriteAsync(message) : ValueTask.CompletedTask;

    private async Task ServeShellAsync(CancellationToken cancellationToken)
    {
        var waiting = new Queue<JupyterMessage>();
        while (true)
        {
            // What was waiting when a cell failed was meant to run after it, so it does not run.
            var abort = waiting.TryDequeue(out var request);
            request ??= await shellRequests.Reader.ReadAsync(cancellationToken);
            if (abort && request.Type == "execute_request")
            {
                await AnswerAsync(request, _ => Task.FromResult<JsonObject?>(new JsonObject { ["status"] = "aborted" }));
                continue;
            }

            await AnswerAsync(request, async r =>
            {
                var reply = await HandleAsync(r, onShell: true);
                if (r.Type == "execute_request" && (string?)reply?["status"] == "error" && Flag(r.Content, "stop_on_error", true))
                {
                    await Task.Delay(OnTheirWay, CancellationToken.None);
                    while (shellRequests.Reader.TryRead(out var next))
                    {
                        waiting.Enqueue(next);
                    }
                }

                return reply;
            });
        }
    }

    private async Task ServeControlAsync(CancellationToken cancellationToken)
    {
        await foreach (var request in controlRequests.Reader.ReadAllAsync(cancellationToken))
        {
            await AnswerAsync(request, r => HandleAsync(r, onShell: false));
        }
    }

    /// <summary>Answers one request between the states busy and idle.</summary>
    private async Task AnswerAsync(JupyterMessage request, Func<JupyterMessage, Task<JsonObject?>> handle)
    {
        Publish("status", new JsonObject { ["execution_state"] = "busy" }, request);
        JsonObject? reply;
        IReadOnlyList<byte[]>? frames;
        try
        {
            reply = await handle(request);
            frames = Frames(reply);
        }
        catch (Exception exception)
        {
            // A content that is not as the protocol says, such as a number or half a surrogate pair where a text belongs.
            reply = Error(new CellError(exception.GetType().FullName!, exception.Message, [exception.Message]));
            frames = Frames(reply);
        }

        IReadOnlyList<byte[]>? Frames(JsonObject? content) => content is null ? null : request
            .Answer($"{(request.Type.EndsWith("_request", StringComparison.Ordinal) ? request.Type[..^"_request".Length] : request.Type)}_reply", content, sessionId)
            .ToFrames(signer);

        if (reply is not null)
        {
            request.Peer!.Send(frames!);
            if (request.Type == "shutdown_request")
            {
                Publish("shutdown_reply", (JsonObject)reply.DeepClone(), request);
            }
        }

        Publish("status", new JsonObject { ["execution_state"] = "idle" }, request);
        if (request.Type == "shutdown_request")
        {
            stopped.TrySetResult();
        }
    }

    private async Task<JsonObject?> HandleAsync(JupyterMessage request, bool onShell)
    {
        var content = request.Content;
        switch (request.Type)
        {
            case "kernel_info_request":
                return KernelAnswers.KernelInfo();
            case "execute_request" when onShell:
                return await ExecuteAsync(request);
            case "complete_request":
                return KernelAnswers.Complete(session, content);
            case "inspect_request":
                return KernelAnswers.Inspect(session, content);
            case "is_complete_request":
                return KernelAnswers.IsComplete(content);
            case "history_request":
                return new JsonObject { ["status"] = "ok", ["history"] = history.Find(content) };
            case "interrupt_request":
                Interrupt();
                return Ok();
            case "shutdown_request":
                return new JsonObject { ["status"] = "ok", ["restart"] = Flag(content, "restart", false) };
            case "comm_info_request":
                return new JsonObject { ["status"] = "ok", ["comms"] = new JsonObject() };
            case "comm_open":
                // Nobody here listens to comms: say so, as the protocol asks.
                Publish("comm_close", new JsonObject { ["comm_id"] = content["comm_id"]?.DeepClone(), ["data"] = new JsonObject() }, request);
                return null;
            case "debug_request":
                return new JsonObject
                {
                    ["type"] = "response",
                    ["request_seq"] = content["seq"]?.DeepClone(),
                    ["command"] = content["command"]?.DeepClone(),
                    ["success"] = false,
                    ["message"] = "This kernel has no debugger.",
                };
            default:
                return null;
        }
    }

    private async Task<JsonObject> ExecuteAsync(JupyterMessage request)
    {
        var content = request.Content;
        var code = (string?)content["code"] ?? "";
        var silent = Flag(content, "silent", false);
        var store = !silent && Flag(content, "store_history", true);
        if (store)
        {
            executionCount++;
        }

        var count = executionCount;
        var output = new KernelOutput(
            (type, message) =>
            {
                if (!silent)
                {
                    Publish(type, message, request);
                }
            },
            (prompt, password, cancellation) => Ask(request, prompt, password, cancellation));
        output.Publish("execute_input", new JsonObject { ["code"] = code, ["execution_count"] = count });

        using var interrupt = new CancellationTokenSource();
        lock (interruptGate)
        {
            running = interrupt;
        }

        try
        {
            var progress = new ProgressDisplay(output);
            var result = string.IsNullOrWhiteSpace(code)
                ? new CellResult(null, null, null)
                : await session.RunAsync(code, output, progress, interrupt.Token);
            progress.Finish();
            var shown = result.Shown;
            if (store)
            {
                history.Add(count, code, shown?.Data.GetValueOrDefault("text/plain"));
            }

            if (result.Error is { } error)
            {
                var failure = Error(error);
                output.Publish("error", Without(failure, "status"));
                failure["execution_count"] = count;
                return failure;
            }

            if (shown is not null)
            {
                output.Publish(
                    "execute_result",
                    new JsonObject { ["execution_count"] = count, ["data"] = shown.ToJson(), ["metadata"] = new JsonObject() });
            }

            output.Flush();
            return new JsonObject
            {
                ["status"] = "ok",
                ["execution_count"] = count,
                ["payload"] = new JsonArray(),
                ["user_expressions"] = await EvaluateAsync(content["user_expressions"] as JsonObject, interrupt.Token),
            };
        }
        finally
        {
            output.Flush();
            lock (interruptGate)
            {
                running = null;
            }
        }
    }

    private async Task<JsonObject> EvaluateAsync(JsonObject? expressions, CancellationToken interrupt)
    {
        var values = new JsonObject();
        foreach (var (name, expression) in expressions ?? [])
        {
            var quiet = new KernelOutput((_, _) => { }, (_, _, _) => throw new InvalidOperationException("An expression cannot ask for input."));
            var result = await session.RunAsync((string?)expression ?? "", quiet, progress: null, interrupt);
            values[name] = result.Error is { } error
                ? Error(error)
                : new JsonObject { ["status"] = "ok", ["data"] = result.Shown?.ToJson() ?? [], ["metadata"] = new JsonObject() };
        }

        return values;
    }

    private string Ask(JupyterMessage request, string prompt, bool password, CancellationToken cancellationToken)
    {
        if (!Flag(request.Content, "allow_stdin", true))
        {
            throw new InvalidOperationException("The notebook does not take input: its client runs without a person.");
        }

        while (typed.Reader.TryRead(out _))
        {
            // An answer to an earlier question that was interrupted.
        }

        var question = request.Answer("input_request", new JsonObject { ["prompt"] = prompt, ["password"] = password }, sessionId);
        stdin.Counterpart(shell, request.Peer!)?.Send(question.ToFrames(signer));
        while (true)
        {
            var reply = typed.Reader.ReadAsync(cancellationToken).AsTask().GetAwaiter().GetResult();
            if (reply.Type == "input_reply")
            {
                return (string?)reply.Content["value"] ?? "";
            }
        }
    }

    private static JsonObject Ok() => new() { ["status"] = "ok" };

    private static JsonObject Error(CellError error) => new()
    {
        ["status"] = "error",
        ["ename"] = error.Name,
        ["evalue"] = error.Message,
        ["traceback"] = new JsonArray([.. error.Traceback.Select(line => (JsonNode)line)]),
    };

    private static JsonObject Without(JsonObject json, string key)
    {
        var copy = (JsonObject)json.DeepClone();
        copy.Remove(key);
        return copy;
    }

    private static bool Flag(JsonObject content, string name, bool otherwise) =>
        content[name] is JsonValue value && value.TryGetValue<bool>(out var flag) ? flag : otherwise;

    private void Publish(string type, JsonObject content, JupyterMessage? parent)
    {
        var topic = Encoding.UTF8.GetBytes($"kernel.{sessionId}.{type}");
        iopub.Send(JupyterMessage.Create(type, content, sessionId, (JsonObject?)parent?.Header.DeepClone(), [topic]).ToFrames(signer));
    }
}
