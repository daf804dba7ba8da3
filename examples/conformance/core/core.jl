# Check an Rprop against core.json: julia core.jl core.json   (needs the package JSON)
import JSON

function step!(s, g, loss)    # replace it by yours; this is iRprop-
    same = sign.(g) .* s.prev
    s.delta .*= ifelse.(same .> 0, s.etas[2], ifelse.(same .< 0, s.etas[1], 1.0))
    s.delta .= clamp.(s.delta, s.limits[1], s.limits[2])
    s.prev .= ifelse.(same .< 0, 0.0, sign.(g))
    s.params .-= s.prev .* s.delta
end

frombits(list) = [reinterpret(Float64, parse(UInt64, hex; base = 16)) for hex in list[2]]

vectors, variant = JSON.parsefile(ARGS[1]), "irprop-"
for case in vectors["cases"]
    params = frombits(case["params"])
    s = (params = params, delta = fill(frombits(case["delta0"])[1], length(params)),
         prev = zero(params), etas = frombits(case["etas"]), limits = frombits(case["step_sizes"]))
    for (k, loss) in enumerate(frombits(case["losses"]))
        step!(s, frombits(case["grads"][k]), loss)
        expected = frombits(case["expected"][variant][k])
        if s.params != expected
            println(stderr, case["id"], ", step ", k, ": ", s.params, " should be ", expected)
            exit(1)
        end
    end
end
println("conforms to ", variant, " core ", vectors["version"])
