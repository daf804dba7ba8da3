// Check an Rprop against core.json: go run core.go core.json
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
)

type list [2]json.RawMessage // decimals, bits

type vector struct {
	ID        string `json:"id"`
	Params    list   `json:"params"`
	Delta0    list   `json:"delta0"`
	Etas      list   `json:"etas"`
	StepSizes list   `json:"step_sizes"`
	Grads     []list `json:"grads"`
	Losses    list   `json:"losses"`
	Expected  map[string][]list `json:"expected"`
}

func (l list) numbers() (out []float64) {
	var hexes []string
	if err := json.Unmarshal(l[1], &hexes); err != nil {
		panic(err)
	}
	for _, hex := range hexes {
		bits, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			panic(err)
		}
		out = append(out, math.Float64frombits(bits))
	}
	return out
}

func sign(x float64) float64 {
	if x > 0 {
		return 1
	} else if x < 0 {
		return -1
	}
	return 0
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var vectors struct{ Version string; Cases []vector }
	if err := json.Unmarshal(text, &vectors); err != nil {
		panic(err)
	}
	for _, c := range vectors.Cases {
		w, etas, limits := c.Params.numbers(), c.Etas.numbers(), c.StepSizes.numbers()
		delta, prev := make([]float64, len(w)), make([]float64, len(w))
		for i := range delta {
			delta[i] = c.Delta0.numbers()[0]
		}
		for k := range c.Grads { // the loss of this step is c.Losses.numbers()[k]
			for i, g := range c.Grads[k].numbers() { // replace it by yours; this is iRprop-
				same, factor := sign(g)*prev[i], 1.0
				if same > 0 {
					factor = etas[1]
				} else if same < 0 {
					factor = etas[0]
				}
				delta[i] = min(max(delta[i]*factor, limits[0]), limits[1])
				prev[i] = sign(g)
				if same < 0 {
					prev[i] = 0
				}
				move := prev[i] * delta[i]
				w[i] = w[i] - move
			}
			expected := c.Expected["irprop-"][k].numbers()
			if !slices.Equal(w, expected) {
				fmt.Fprintf(os.Stderr, "%s, step %d: %v should be %v\n", c.ID, k+1, w, expected)
				os.Exit(1)
			}
		}
	}
	fmt.Println("conforms to irprop- core", vectors.Version)
}
