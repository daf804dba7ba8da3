// Check an Rprop against core.json: java Core.java core.json
// Java's library has no JSON: every case is a line, its lists stand in a fixed order.
import java.nio.file.*;
import java.util.*;
import java.util.regex.*;

class Core {
  static double[] w, delta, prev;

  static void step(double[] g, double loss, double[] etas, double[] limits) {
    for (int i = 0; i < g.length; i++) {   // replace it by yours; this is iRprop-
      double same = Math.signum(g[i]) * prev[i];
      delta[i] *= same > 0 ? etas[1] : same < 0 ? etas[0] : 1;
      delta[i] = Math.min(Math.max(delta[i], limits[0]), limits[1]);
      prev[i] = same < 0 ? 0 : Math.signum(g[i]);
      w[i] -= prev[i] * delta[i];
    }
  }

  public static void main(String[] arguments) throws Exception {
    Pattern list = Pattern.compile("\\[\\[[^\\[\\]]*\\],\\[([^\\]]*)\\]\\]");
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      if (!line.startsWith("{\"id\"")) continue;
      List<double[]> lists = list.matcher(line).results().map(match -> Arrays
          .stream(match.group(1).replace("\"", "").split(","))
          .mapToDouble(bits -> Double.longBitsToDouble(Long.parseUnsignedLong(bits, 16)))
          .toArray()).toList();
      int steps = (lists.size() - 5) / 5;   // params, delta0, etas, limits, grads, losses, expected
      int first = 4 + steps + 1 + steps;    // of irprop-, the second of the four variants
      w = lists.get(0).clone();
      delta = new double[w.length];
      prev = new double[w.length];
      Arrays.fill(delta, lists.get(1)[0]);
      for (int k = 0; k < steps; k++) {
        step(lists.get(4 + k), lists.get(4 + steps)[k], lists.get(2), lists.get(3));
        for (int i = 0; i < w.length; i++) {
          if (w[i] == lists.get(first + k)[i]) continue;
          System.err.println(line.substring(0, 40) + ", step " + (k + 1) + ": "
              + Arrays.toString(w) + " should be " + Arrays.toString(lists.get(first + k)));
          System.exit(1);
        }
      }
    }
    System.out.println("conforms to irprop- core 1.0");
  }
}
