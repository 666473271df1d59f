namespace HeadScope;

/// <summary>One step of the trace of one prompt: a component that sent part of the signal of a firing.</summary>
/// <param name="Firing">The firing that received it.</param>
/// <param name="Sender">The component.</param>
/// <param name="Side">On which side of the score.</param>
/// <param name="Value">What it added to the signal.</param>
/// <param name="Repeats">How often following every way through the trace meets this step; 1 when it is reached on one way.</param>
public sealed record TracedEdge(Firing Firing, Component Sender, SignalSide Side, double Value, long Repeats);
