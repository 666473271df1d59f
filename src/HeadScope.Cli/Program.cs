using HeadScope.Cli;

return await Headscope.RunAsync(args, Console.Out, Console.Error);
