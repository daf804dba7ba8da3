// Check an Rprop against core.json: put it into a console project, dotnet run core.json
using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;

double[] FromBits(JsonElement list) => list[1].EnumerateArray()
    .Select(hex => BitConverter.Int64BitsToDouble(long.Parse(hex.GetString()!, NumberStyles.HexNumber)))
    .ToArray();

using var vectors = JsonDocument.Parse(File.ReadAllText(args[0]));
foreach (var item in vectors.RootElement.GetProperty("cases").EnumerateArray())
{
    double[] w = FromBits(item.GetProperty("params"));
    double[] etas = FromBits(item.GetProperty("etas")), limits = FromBits(item.GetProperty("step_sizes"));
    double[] delta = Enumerable.Repeat(FromBits(item.GetProperty("delta0"))[0], w.Length).ToArray();
    double[] prev = new double[w.Length], losses = FromBits(item.GetProperty("losses"));
    for (int k = 0; k < losses.Length; k++)
    {
        double[] g = FromBits(item.GetProperty("grads")[k]);
        for (int i = 0; i < w.Length; i++)  // replace it by yours; this is iRprop-
        {
            double sign = Math.Sign(g[i]), same = sign * prev[i];
            delta[i] *= same > 0 ? etas[1] : same < 0 ? etas[0] : 1;
            delta[i] = Math.Min(Math.Max(delta[i], limits[0]), limits[1]);
            prev[i] = same < 0 ? 0 : sign;
            w[i] -= prev[i] * delta[i];
        }
        double[] expected = FromBits(item.GetProperty("expected").GetProperty("irprop-")[k]);
        if (w.SequenceEqual(expected)) continue;
        Console.Error.WriteLine($"{item.GetProperty("id")}, step {k + 1}: "
            + $"{string.Join(", ", w)} should be {string.Join(", ", expected)}");
        return 1;
    }
}
Console.WriteLine("conforms to irprop- core 1.0");
return 0;
