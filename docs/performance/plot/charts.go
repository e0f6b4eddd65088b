package main

import (
	"cmp"
	"slices"
)

// fanOut is what a saturated fan-out of small messages does and costs, against
// the number of its subscribers.
func fanOut(runs []measurement) chart {
	groups := groupBy(runs, func(r measurement) (int, bool) {
		return r.Result.Subscribers, r.Result.Scenario == "fanout" && !r.TLS && r.Result.Rate == 0 && r.Result.Size == 128 && r.Result.Publishers == 1
	})
	return chart{
		title: "Fan-out of 128-byte messages, saturated",
		x:     "subscribers",
		panels: []panel{{
			title: "million deliveries a second", log: true,
			points: points(groups, func(r *result) float64 { return r.PerSecond / 1e6 }),
		}, {
			title: "CPU seconds of the server for a million deliveries", log: true,
			points: points(groups, func(r *result) float64 { return r.Server.CPUPerMillion }),
		}},
	}
}

// memory is what idle connections cost, against their number.
func memory(runs []measurement) chart {
	groups := groupBy(runs, func(r measurement) (int, bool) { return r.Result.Connections, r.Result.Scenario == "idle" })
	return chart{
		title: "Memory of idle connections with heart-beats",
		x:     "connections",
		panels: []panel{{
			title: "kB of RSS for each connection", log: true,
			points: points(groups, func(r *result) float64 { return r.Idle.RSSPerConnection / 1e3 }),
		}, {
			title:  "MB of RSS of the whole server",
			points: points(groups, func(r *result) float64 { return r.Server.RSSAfter / 1e6 }),
		}},
	}
}

type group struct {
	x    int
	runs []measurement
}

// groupBy puts the runs that key wants together by their place on the x axis.
func groupBy(runs []measurement, key func(measurement) (x int, wanted bool)) (groups []group) {
	for _, r := range runs {
		x, wanted := key(r)
		if !wanted {
			continue
		}
		i, found := slices.BinarySearchFunc(groups, x, func(g group, x int) int { return cmp.Compare(g.x, x) })
		if !found {
			groups = slices.Insert(groups, i, group{x: x})
		}
		groups[i].runs = append(groups[i].runs, r)
	}
	return groups
}

func points(groups []group, figure func(*result) float64) (list []point) {
	for _, g := range groups {
		p := point{x: float64(g.x), y: medianOf(g.runs, figure)}
		p.low, p.high = p.y, p.y
		for _, r := range g.runs {
			p.low, p.high = min(p.low, figure(r.Result)), max(p.high, figure(r.Result))
		}
		list = append(list, p)
	}
	return list
}
