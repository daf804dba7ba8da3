# The rules inside R's neuralnet: install.packages(c("neuralnet", "jsonlite")), then
#   python -m rprop.conformance --reuse --dtypes float64 --variant rprop+ \
#     --command "Rscript examples/conformance/neuralnet/neuralnet.R"
# and the same with --variant rprop- and "... neuralnet.R minus".
rule <- if ("minus" %in% commandArgs(TRUE)) "minus" else "plus"
source_file <- Sys.getenv("NEURALNET_SOURCE") # R/fit_neuralnet.R, where it is not installed
if (nzchar(source_file)) source(source_file) else {
  plus <- neuralnet:::plus
  minus <- neuralnet:::minus
}
decimal <- function(x) { # numbers, unless some are the words inf, -inf and nan
  if (is.character(x)) as.numeric(sub("inf", "Inf", sub("nan", "NaN", x))) else x
}
input <- file("stdin", "r")
while (length(line <- readLines(input, 1)) > 0) {
  m <- jsonlite::fromJSON(line)
  if (!is.null(m$params)) { # a case begins
    n <- length(m$params)
    w <- list(list(matrix(decimal(m$params), ncol = 1)))
    s <- list(gradients.old = rep(0, n), learningrate = rep(m$delta0, n))
    factor <- list(minus = m$etas[1], plus = m$etas[2])
    limit <- list(min = m$step_sizes[1], max = m$step_sizes[2])
    next
  }
  g <- decimal(m$grads)
  none <- n + 1 # no weight is left out
  s <- if (rule == "plus") {
    plus(g, s$gradients.old, unlist(w), n, 1, s$learningrate, factor, limit, none)
  } else {
    minus(g, s$gradients.old, unlist(w), 1, n, 1, s$learningrate, factor, limit, "rprop-", none)
  }
  w <- s$weights
  cat("{\"params\": [", paste(sprintf("%.17g", unlist(w)), collapse = ", "), "]}\n", sep = "")
}
