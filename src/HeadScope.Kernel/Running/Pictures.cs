using System.Text.Json.Nodes;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace HeadScope.Notebooks.Running;

/// <summary>Puts the pictures that a notebook's text names into its page, which then needs no other file.</summary>
internal static class Pictures
{
    // A page that carries more is not one that anybody opens.
    private const long LargestFile = 8 << 20;

    /// <summary>Replaces the addresses of pictures by the pictures themselves: attachments of the cell, and files beside the notebook.</summary>
    /// <param name="text">The text of a cell.</param>
    /// <param name="attachments">What the cell carries, as nbformat keeps it; null for nothing.</param>
    /// <param name="folder">The folder of the notebook; null leaves the names of files as they are.</param>
    public static void Embed(MarkdownDocument text, JsonObject? attachments, string? folder)
    {
        foreach (var picture in text.Descendants<LinkInline>().Where(link => link.IsImage))
        {
            picture.Url = Data(picture.Url ?? "", attachments, folder) ?? picture.Url;
        }
    }

    private static string? Data(string address, JsonObject? attachments, string? folder)
    {
        const string Attachment = "attachment:";
        if (address.StartsWith(Attachment, StringComparison.Ordinal))
        {
            var (type, content) = (attachments?[Uri.UnescapeDataString(address[Attachment.Length..])] as JsonObject)?.FirstOrDefault() ?? default;
            return type is not null && type.StartsWith("image/", StringComparison.Ordinal) ? $"data:{type};base64,{NotebookFile.Joined(content).ReplaceLineEndings("")}" : null;
        }

        // Pictures alone, and below the notebook alone: a notebook from elsewhere must not put other files of this machine on a page.
        var mimeType = Path.GetExtension(address).ToLowerInvariant() switch
        {
            ".svg" => "image/svg+xml",
            ".png" => "image/png",
            ".jpg" or ".jpeg" => "image/jpeg",
            ".gif" => "image/gif",
            ".webp" => "image/webp",
            _ => null,
        };
        if (folder is null || mimeType is null || address.Contains(':', StringComparison.Ordinal))
        {
            return null;
        }

        var root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + Path.DirectorySeparatorChar;
        var file = new FileInfo(Path.GetFullPath(Path.Combine(root, Uri.UnescapeDataString(address))));
        return file.FullName.StartsWith(root, StringComparison.Ordinal) && file is { Exists: true, LinkTarget: null, Length: <= LargestFile }
            ? $"data:{mimeType};base64,{Convert.ToBase64String(File.ReadAllBytes(file.FullName))}"
            : null;
    }
}
