// Check an Rprop against core.json: rustc core.rs && ./core core.json
// Rust's library has no JSON: every case is a line, its lists stand in a fixed order.
fn step(w: &mut [f64], delta: &mut [f64], prev: &mut [f64], g: &[f64], etas: &[f64], limits: &[f64]) {
    for i in 0..w.len() {                  // replace it by yours; this is iRprop-
        let sign = if g[i] > 0.0 { 1.0 } else if g[i] < 0.0 { -1.0 } else { 0.0 };
        let same = sign * prev[i];
        let factor = if same > 0.0 { etas[1] } else if same < 0.0 { etas[0] } else { 1.0 };
        delta[i] = (delta[i] * factor).max(limits[0]).min(limits[1]);
        prev[i] = if same < 0.0 { 0.0 } else { sign };
        w[i] -= prev[i] * delta[i];
    }
}

/// The lists of a line, [[decimals],["bits", ...]], from their bits.
fn lists(line: &str) -> Vec<Vec<f64>> {
    let bits = |list: &str| list.split('"').filter(|s| s.len() == 16)
        .filter_map(|s| u64::from_str_radix(s, 16).ok()).map(f64::from_bits).collect();
    line.split("],[\"").skip(1).map(|rest| bits(&format!("\"{}", &rest[..rest.find(']').unwrap()]))).collect()
}

fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).expect("core.json")).expect("a file");
    for line in text.lines().filter(|line| line.starts_with("{\"id\"")) {
        let all = lists(line);             // params, delta0, etas, limits, grads, losses, expected
        let steps = (all.len() - 5) / 5;
        let first = 4 + steps + 1 + steps; // of irprop-, the second of the four variants
        let mut w = all[0].clone();
        let (mut delta, mut prev) = (vec![all[1][0]; w.len()], vec![0.0; w.len()]);
        for k in 0..steps {                // the loss of this step is all[4 + steps][k]
            step(&mut w, &mut delta, &mut prev, &all[4 + k], &all[2], &all[3]);
            if w != all[first + k] {
                eprintln!("{}, step {}: {:?} should be {:?}", &line[..40], k + 1, w, all[first + k]);
                std::process::exit(1);
            }
        }
    }
    println!("conforms to irprop- core 1.0");
}
