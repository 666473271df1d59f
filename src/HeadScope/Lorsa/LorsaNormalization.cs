namespace HeadScope;

/// <summary>How activations are brought to the units a Lorsa was trained in.</summary>
public enum LorsaNormalization
{
    /// <summary>
    /// Input and output are each scaled by one number, so that their mean norm over the data is sqrt(d). The default of training.
    /// </summary>
    Dataset,

    /// <summary>Not at all: the weights are folded and work in the units of the model ("inference").</summary>
    None,
}
