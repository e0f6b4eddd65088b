package bench

import (
	"fmt"
	"slices"
)

// Compared is a topic with a history beside a topic without one.
type Compared struct {
	Plain Side `json:"plain"`
	Kept  Side `json:"kept"`
	// Throughput is the deliveries a second of Kept divided by those of Plain.
	Throughput Ratio `json:"throughput"`
	// ServerCPU is the server's CPU time per delivery of Kept divided by that of
	// Plain. Nil if it was not measured.
	ServerCPU *Ratio `json:"server_cpu,omitempty"`
}

// Side is the sum of the turns of one of the topics.
type Side struct {
	Count         int64   `json:"count"` // deliveries
	Seconds       float64 `json:"seconds"`
	PerSecond     float64 `json:"per_second"`
	CPUPerMillion float64 `json:"server_cpu_seconds_per_million,omitempty"`
}

// turn is one turn of a topic, or the sum of several.
type turn struct {
	count   int64
	seconds float64
	cpu     float64 // seconds of the server
}

func (t *turn) add(other turn) {
	t.count += other.count
	t.seconds += other.seconds
	t.cpu += other.cpu
}

func (t *turn) rate() float64 { return float64(t.count) / t.seconds }

// cost returns the CPU seconds of a delivery.
func (t *turn) cost() float64 { return t.cpu / float64(t.count) }

func (t *turn) side() Side {
	return Side{t.count, round(t.seconds), perSecond(t.count, t.seconds), perMillion(t.cpu, t.count)}
}

// Ratio is the ratio of two sums over several rounds, and those of the single
// rounds.
type Ratio struct {
	Ratio   float64 `json:"ratio"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

func newRatio(all float64, rounds []float64) Ratio {
	return Ratio{round(all), round(slices.Min(rounds)), round(slices.Max(rounds))}
}

func (r Ratio) String() string {
	return fmt.Sprintf("%.2f (rounds %.2f to %.2f)", r.Ratio, r.Lowest, r.Highest)
}

// compare adds up the rounds, each a turn of both sides. It returns nil if a
// turn measured nothing.
func compare(rounds [][2]turn) *Compared {
	var all [2]turn
	var throughput, cpu []float64
	measured := true
	for _, both := range rounds {
		plain, kept := &both[0], &both[1]
		if plain.count == 0 || kept.count == 0 {
			return nil
		}
		all[0].add(*plain)
		all[1].add(*kept)
		throughput = append(throughput, kept.rate()/plain.rate())
		// The system counts CPU time in units of 10 ms.
		if measured = measured && plain.cpu > 0; measured {
			cpu = append(cpu, kept.cost()/plain.cost())
		}
	}
	if len(rounds) == 0 {
		return nil
	}
	plain, kept := &all[0], &all[1]
	c := &Compared{Plain: plain.side(), Kept: kept.side(), Throughput: newRatio(kept.rate()/plain.rate(), throughput)}
	if measured {
		ratio := newRatio(kept.cost()/plain.cost(), cpu)
		c.ServerCPU = &ratio
	}
	return c
}

// rows describes the comparison in words. process says whether the server's
// process is known.
func (c *Compared) rows(process bool, row func(name, format string, args ...any)) {
	for _, side := range []struct {
		name string
		Side
	}{{"without history", c.Plain}, {"with history", c.Kept}} {
		text := count(side.PerSecond) + " deliveries a second"
		if side.CPUPerMillion > 0 {
			text += fmt.Sprintf(", server CPU %.3f s per million", side.CPUPerMillion)
		}
		row(side.name, "%s", text)
	}
	row("ratio", "throughput %s", c.Throughput)
	switch {
	case c.ServerCPU != nil:
		row("", "server CPU per delivery %s", c.ServerCPU)
	case process:
		row("", "server CPU per delivery not measured: the rounds were too short")
	default:
		row("", "server CPU per delivery not measured: it needs --server-pid")
	}
}
