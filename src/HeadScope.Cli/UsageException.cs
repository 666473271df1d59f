namespace HeadScope.Cli;

/// <summary>The command line asks for something that cannot be meant, such as two outputs of one kind; ends with exit code 2.</summary>
/// <param name="message">What is wrong and what to write instead.</param>
internal sealed class UsageException(string message) : Exception(message);
