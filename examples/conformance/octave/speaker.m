% A rule in Octave or MATLAB's language: apt-get install octave, then
%   python -m rprop.conformance --reuse --dtypes float64 \
%     --command "octave-cli -q examples/conformance/octave/speaker.m"
% fgetl and fread block on a pipe; input does not.
1;  % a script, not a function file
function numbers = decimal (x)   % numbers, unless some are the words inf, -inf and nan
  if iscell (x) x = cellfun (@(item) str2double (num2str (item, 17)), x); end
  numbers = x(:)';
end
while true
  try line = input ('', 's'); catch exit; end
  m = jsondecode (line);
  if isfield (m, 'params')           % a case begins
    w = decimal (m.params);
    delta = repmat (m.delta0, size (w));
    previous = zeros (size (w));
    etas = m.etas; limits = m.step_sizes;
    continue
  end
  g = decimal (m.grads);             % replace the next seven lines by yours; this is iRprop-
  g(isnan (g)) = 0;
  same = sign (g) .* previous;
  delta(same > 0) *= etas(2);
  delta(same < 0) *= etas(1);
  delta = min (max (delta, limits(1)), limits(2));
  previous = sign (g) .* (same >= 0);
  w -= previous .* delta;
  printf ("{\"params\": [%s]}\n", strjoin (arrayfun (@(x) sprintf ("%.17g", x), w, 'UniformOutput', false), ', '));
  fflush (stdout);
end
