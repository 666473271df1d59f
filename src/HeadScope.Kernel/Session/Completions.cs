namespace HeadScope.Notebooks.Session;

/// <summary>What may be typed at a place, and the part of the text that it would replace.</summary>
/// <param name="Start">Where the replaced part starts, counted in UTF-16 units.</param>
/// <param name="End">Where it ends.</param>
/// <param name="Items">The candidates, best first.</param>
internal sealed record Completions(int Start, int End, IReadOnlyList<Completion> Items);

/// <summary>One candidate.</summary>
/// <param name="Text">What is inserted.</param>
/// <param name="Kind">What it is, in Jupyter's words: <c>function</c>, <c>property</c>, <c>class</c>, <c>keyword</c>, ...</param>
/// <param name="Signature">How it is declared; empty for keywords.</param>
internal sealed record Completion(string Text, string Kind, string Signature);
