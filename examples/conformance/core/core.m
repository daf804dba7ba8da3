% Check an Rprop against core.json: octave core.m core.json   (Octave 7 or later)
vectors = jsondecode (fileread (argv (){end}), 'makeValidName', false);
from_bits = @(list) cellfun (@(hex) hex2num (hex), list{2})(:)';
for c = 1:numel (vectors.cases)
  item = vectors.cases(c);
  if iscell (vectors.cases) item = vectors.cases{c}; end
  w = from_bits (item.params);
  etas = from_bits (item.etas);
  limits = from_bits (item.step_sizes);
  delta = repmat (from_bits (item.delta0), size (w));
  previous = zeros (size (w));
  losses = from_bits (item.losses);
  expected = item.expected.('irprop-');
  for k = 1:numel (losses)
    g = from_bits (item.grads{k});       % replace the next six lines by yours; this is iRprop-
    same = sign (g) .* previous;
    delta(same > 0) *= etas(2);
    delta(same < 0) *= etas(1);
    delta = min (max (delta, limits(1)), limits(2));
    previous = sign (g) .* (same >= 0);
    w -= previous .* delta;
    should = from_bits (expected{k});
    if any (w != should)
      fprintf (stderr, "%s, step %d: %s should be %s\n", item.id, k, mat2str (w, 17), mat2str (should, 17));
      exit (1);
    end
  end
end
printf ("conforms to irprop- core %s\n", vectors.version);
