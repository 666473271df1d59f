using System.Globalization;
using System.Xml;
using Microsoft.CodeAnalysis;

namespace HeadScope.Notebooks.Session;

/// <summary>The documentation comments of an assembly, from the XML file beside it, read when the first one is asked for.</summary>
internal sealed class XmlDocumentation : DocumentationProvider
{
    private readonly string path;
    private readonly Lazy<Dictionary<string, string>> members;

    private XmlDocumentation(string path)
    {
        this.path = path;
        members = new Lazy<Dictionary<string, string>>(Read);
    }

    public static DocumentationProvider Of(string assemblyPath) => new XmlDocumentation(Path.ChangeExtension(assemblyPath, ".xml"));

    public override bool Equals(object? obj) => obj is XmlDocumentation other && string.Equals(path, other.path, StringComparison.Ordinal);

    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(path);

    protected override string GetDocumentationForSymbol(
        string documentationMemberID, CultureInfo preferredCulture, CancellationToken cancellationToken = default) =>
        members.Value.GetValueOrDefault(documentationMemberID, "");

    private Dictionary<string, string> Read()
    {
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!File.Exists(path))
        {
            return found;
        }

        try
        {
            using var reader = XmlReader.Create(path, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
            while (!reader.EOF)
            {
                if (reader is { NodeType: XmlNodeType.Element, Name: "member" } && reader.GetAttribute("name") is { } name)
                {
                    found[name] = reader.ReadInnerXml();
                }
                else
                {
                    reader.Read();
                }
            }
        }
        catch (XmlException)
        {
            // A broken file of someone's package: as good as no documentation.
        }

        return found;
    }
}
