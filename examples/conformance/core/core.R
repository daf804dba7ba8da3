# Check an Rprop against core.json: Rscript core.R core.json   (needs the package jsonlite)
vectors <- jsonlite::fromJSON(commandArgs(TRUE)[1], simplifyVector = FALSE, bigint_as_char = TRUE)
variant <- "irprop-"

step <- function(s, g, loss) { # replace it by yours; this is iRprop-
  same <- sign(g) * s$prev
  s$delta <- s$delta * ifelse(same > 0, s$etas[2], ifelse(same < 0, s$etas[1], 1))
  s$delta <- pmin(pmax(s$delta, s$limits[1]), s$limits[2])
  s$prev <- ifelse(same < 0, 0, sign(g))
  s$params <- s$params - s$prev * s$delta
  s
}

bits <- function(x) { # + 0: minus zero is zero
  bytes <- writeBin(x + 0, raw(), endian = "big")
  apply(matrix(as.character(bytes), nrow = 8), 2, paste, collapse = "")
}
from_bits <- function(list) { # jsonlite may round the last digit of a decimal; the bits are exact
  hex <- paste(unlist(list[[2]]), collapse = "")
  at <- seq(1, nchar(hex), 2)
  readBin(as.raw(strtoi(substring(hex, at, at + 1), 16)), "double", nchar(hex) / 16, endian = "big")
}

for (case in vectors$cases) {
  params <- from_bits(case$params)
  s <- list(params = params, delta = rep(from_bits(case$delta0), length(params)), prev = 0 * params,
            etas = from_bits(case$etas), limits = from_bits(case$step_sizes))
  losses <- from_bits(case$losses)
  for (k in seq_along(losses)) {
    s <- step(s, from_bits(case$grads[[k]]), losses[k])
    expected <- case$expected[[variant]][[k]]
    if (!identical(bits(s$params), unlist(expected[[2]]))) {
      message(case$id, ", step ", k, ": ", toString(s$params), " should be ", toString(expected[[1]]))
      quit(status = 1)
    }
  }
}
cat("conforms to", variant, "core", vectors$version, "\n")
