/* Check an Rprop against core.json: cc core.c -o core -lm && ./core core.json
   It is C++, too. Every case is a line, and every number stands there as sixteen digits. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double w[8], delta[8], prev[8];

/* Replace it by yours; this is iRprop-. */
static void step(int n, const double *g, const double *etas, const double *limits) {
  for (int i = 0; i < n; i++) {
    double sign = (g[i] > 0) - (g[i] < 0), same = sign * prev[i];
    delta[i] *= same > 0 ? etas[1] : same < 0 ? etas[0] : 1;
    delta[i] = fmin(fmax(delta[i], limits[0]), limits[1]);
    prev[i] = same < 0 ? 0 : sign;
    w[i] -= prev[i] * delta[i];
  }
}

/* Read the bits of one list, [[decimals],["bits", ...]], and go on behind it. */
static int numbers(char **at, double *out) {
  int n = 0;
  *at = strstr(*at, "],[\"") + 3;
  for (; **at == '"' || **at == ','; *at += **at == ',') {
    uint64_t bits = strtoull(*at + 1, at, 16);
    memcpy(&out[n++], &bits, 8);
    ++*at; /* the closing quotation mark */
  }
  return n;
}

int main(int argc, char **argv) {
  static char line[1 << 16];
  double etas[2], limits[2], delta0[1], grads[64][8], losses[64], expected[8];
  FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
  if (!file) return fprintf(stderr, "core.json cannot be read\n"), 2;
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, "{\"id\"", 5)) continue;
    char *at = line, *losses_at = strstr(line, "\"losses\"");
    int n = numbers(&at, w), steps = 0;
    numbers(&at, delta0), numbers(&at, etas), numbers(&at, limits);
    for (char *next = at; numbers(&next, grads[steps]), next < losses_at; at = next) steps++;
    at = losses_at, numbers(&at, losses);
    at = strstr(at, "\"irprop-\"");
    for (int i = 0; i < n; i++) delta[i] = delta0[0], prev[i] = 0;
    for (int k = 0; k < steps; k++) {
      step(n, grads[k], etas, limits);
      numbers(&at, expected);
      for (int i = 0; i < n; i++)
        if (w[i] != expected[i])
          return fprintf(stderr, "%.40s, step %d: %.17g should be %.17g\n", line, k + 1, w[i],
                         expected[i]), 1;
    }
  }
  return printf("conforms to irprop- core 1.0\n"), 0;
}
