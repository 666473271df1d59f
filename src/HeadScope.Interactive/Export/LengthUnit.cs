namespace HeadScope;

/// <summary>What widths and heights of saved figures are given in.</summary>
public enum LengthUnit
{
    /// <summary>CSS pixels, 96 to the inch.</summary>
    Pixels,

    /// <summary>Millimetres, as papers state the widths of their columns.</summary>
    Millimetres,
}
