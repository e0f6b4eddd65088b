package bench

import "time"

// meter measures the resources that the server and the generator use over a
// time.
type meter struct {
	pid      int
	start    time.Time
	server   usage
	own      float64
	machine  float64 // busy CPU seconds of all processes
	capacity float64 // and idle ones
	peak     int64
}

// usage is the resource usage of a process and its descendants.
type usage struct {
	cpu   float64 // seconds since they started
	rss   int64   // bytes
	alive bool
}

func startMeter(pid int) *meter {
	m := &meter{pid: pid, own: ownCPU(), start: time.Now()}
	if pid != 0 {
		m.server = processUsage(pid)
		m.machine, m.capacity = machineCPU()
		m.peak = m.server.rss
	}
	return m
}

// sample records the memory of the server.
func (m *meter) sample() {
	if m.pid != 0 {
		m.peak = max(m.peak, processUsage(m.pid).rss)
	}
}

// stop writes the usage to r, with n, the number of operations.
func (m *meter) stop(r *Result, n int64) {
	r.Seconds = round(time.Since(m.start).Seconds())
	r.Count, r.PerSecond = n, perSecond(n, r.Seconds)
	own := ownCPU() - m.own
	r.GeneratorCPU = round(own)
	r.GeneratorCPUPerMillion = perMillion(own, n)
	if m.pid == 0 {
		return
	}
	now := processUsage(m.pid)
	if !now.alive {
		r.fail("the process of the server has ended")
		return
	}
	s := r.server()
	cpu := now.cpu - m.server.cpu
	s.CPU, s.CPUPerMillion = round(cpu), perMillion(cpu, n)
	s.RSSAfter, s.RSSPeak = now.rss, max(m.peak, now.rss)
	busy, capacity := machineCPU()
	if capacity > m.capacity {
		s.Others = round(max(0, busy-m.machine-cpu-own) / (capacity - m.capacity) * 100)
	}
}

func (r *Result) server() *Server {
	if r.Server == nil {
		r.Server = new(Server)
	}
	return r.Server
}

// memoryBefore records the server's memory before the load.
func (r *Result) memoryBefore(pid int) {
	if pid != 0 {
		r.server().RSSBefore = processUsage(pid).rss
	}
}

func perMillion(seconds float64, n int64) float64 {
	if n == 0 {
		return 0
	}
	return round(seconds / float64(n) * 1e6)
}
