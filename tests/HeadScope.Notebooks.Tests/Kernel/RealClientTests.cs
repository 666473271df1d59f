using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Tests;

/// <summary>The kernel as the clients see it that people use: jupyter_client, and nbconvert on top of it.</summary>
/// <param name="client">Python with these clients.</param>
[Collection(nameof(PythonClient))]
public class RealClientTests(PythonClient client)
{
    [Theory]
    [InlineData("kernel_info")]
    [InlineData("control_kernel_info")]
    [InlineData("execute_result")]
    [InlineData("streams")]
    [InlineData("streams_of_threads")]
    [InlineData("streams_flow_while_running")]
    [InlineData("much_output")]
    [InlineData("large_cell")]
    [InlineData("compile_error")]
    [InlineData("runtime_error")]
    [InlineData("error_aborts_queued_cells")]
    [InlineData("error_without_stop_on_error")]
    [InlineData("silent")]
    [InlineData("store_history_off")]
    [InlineData("user_expressions")]
    [InlineData("display_and_update")]
    [InlineData("json_is_json")]
    [InlineData("clear_output")]
    [InlineData("progress_appears_by_itself")]
    [InlineData("complete")]
    [InlineData("inspect")]
    [InlineData("is_complete")]
    [InlineData("history")]
    [InlineData("stdin")]
    [InlineData("stdin_not_allowed")]
    [InlineData("interrupt_token")]
    [InlineData("interrupt_of_code_that_does_not_listen")]
    [InlineData("interrupt_while_asking")]
    [InlineData("interrupt_when_idle")]
    [InlineData("interrupt_by_signal")]
    [InlineData("comm_info")]
    [InlineData("comm_open_is_closed")]
    [InlineData("unknown_and_malformed_requests")]
    [InlineData("heartbeat")]
    [InlineData("wrong_signatures_are_dropped")]
    [InlineData("another_client_sees_the_output")]
    [InlineData("restart")]
    [InlineData("shutdown_ends_the_process")]
    [InlineData("ipc")]
    [InlineData("listens_only_where_told")]
    [InlineData("end_with_the_parent")]
    public void Check(string name)
    {
        client.Require();
        Assert.True(client.Checks.TryGetValue(name, out var result), "The script ended before this check.");
        Assert.True(result.Ok, result.Detail);
    }

    [Fact]
    public void Every_check_of_the_script_is_listed_here()
    {
        client.Require();
        var listed = client.Run(Path.Combine(PythonClient.Scripts, "kernel_checks.py"), "--list").Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var here = typeof(RealClientTests).GetMethod(nameof(Check))!.GetCustomAttributesData()
            .Where(a => a.AttributeType == typeof(InlineDataAttribute))
            .Select(a => (string)((IReadOnlyList<System.Reflection.CustomAttributeTypedArgument>)a.ConstructorArguments[0].Value!)[0].Value!);
        Assert.Equal(listed.Order(StringComparer.Ordinal), here.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Nbconvert_executes_a_notebook()
    {
        client.Require();
        Assert.SkipWhen(client.Run("-c", "import nbconvert").Code != 0, "nbconvert is not installed; on Debian: apt-get install python3-nbconvert.");
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            var notebook = Path.Combine(folder, "a.ipynb");
            File.WriteAllText(notebook, """
                {"cells": [
                  {"cell_type": "code", "id": "a", "metadata": {}, "source": "var x = 6;\nConsole.WriteLine(\"six\");", "outputs": [], "execution_count": null},
                  {"cell_type": "code", "id": "b", "metadata": {}, "source": "display(HTML(\"<b>x</b>\"));\nx * 7", "outputs": [], "execution_count": null}],
                 "metadata": {"kernelspec": {"name": "headscope", "display_name": "C# (HeadScope)", "language": "C#"}}, "nbformat": 4, "nbformat_minor": 5}
                """);
            var (code, _, error) = client.Run("-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", notebook);
            Assert.True(code == 0, error);
            var cells = (JsonArray)JsonNode.Parse(File.ReadAllText(notebook))!["cells"]!;
            Assert.Equal("stdout", (string?)cells[0]!["outputs"]![0]!["name"]);
            Assert.Equal(["display_data", "execute_result"], ((JsonArray)cells[1]!["outputs"]!).Select(o => (string?)o!["output_type"]));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
