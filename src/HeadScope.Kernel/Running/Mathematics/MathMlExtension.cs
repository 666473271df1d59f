using System.Net;
using System.Xml.Linq;
using Markdig;
using Markdig.Extensions.Mathematics;
using Markdig.Renderers;
using Markdig.Renderers.Html;

namespace HeadScope.Notebooks.Running.Mathematics;

/// <summary>Has Markdig write the equations in a text as MathML; an equation that <see cref="MathMl"/> does not know is shown as it was written.</summary>
internal sealed class MathMlExtension : IMarkdownExtension
{
    /// <inheritdoc/>
    public void Setup(MarkdownPipelineBuilder pipeline)
    {
        // What reads equations is Markdig's own (UseMathematics); only how they are written is changed here.
    }

    /// <inheritdoc/>
    public void Setup(MarkdownPipeline pipeline, IMarkdownRenderer renderer)
    {
        if (renderer is HtmlRenderer html)
        {
            html.ObjectRenderers.RemoveAll(r => r is HtmlObjectRenderer<MathInline> or HtmlObjectRenderer<MathBlock>);
            html.ObjectRenderers.Insert(0, new Inline());
            html.ObjectRenderers.Insert(0, new Block());
        }
    }

    private static string Html(string latex, bool display)
    {
        try
        {
            return MathMl.From(latex, display).ToString(SaveOptions.DisableFormatting);
        }
        catch (FormatException)
        {
            return $"<code class=\"math\">{WebUtility.HtmlEncode(latex)}</code>";
        }
    }

    private sealed class Inline : HtmlObjectRenderer<MathInline>
    {
        protected override void Write(HtmlRenderer renderer, MathInline obj) => renderer.Write(Html(obj.Content.ToString(), obj.DelimiterCount > 1));
    }

    private sealed class Block : HtmlObjectRenderer<MathBlock>
    {
        protected override void Write(HtmlRenderer renderer, MathBlock obj) => renderer.EnsureLine().Write(Html(obj.Lines.ToString(), display: true)).EnsureLine();
    }
}
