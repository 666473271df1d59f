using HeadScope.Cli;
using HeadScope.Notebooks.Session;

if (args is ["kernel", "start", ..] or ["notebook", "run", ..])
{
    CSharpSession.Prepare();
}

return await Headscope.RunAsync(args, Console.Out, Console.Error);
