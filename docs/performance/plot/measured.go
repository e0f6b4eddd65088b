package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// A measurement is one run of hoofbeat bench.
type measurement struct {
	Command string  `json:"command"`
	TLS     bool    `json:"tls"`
	Result  *result `json:"result"`
}

// result is what hoofbeat bench --json prints, as far as it is shown.
type result struct {
	Scenario    string   `json:"scenario"`
	Verdict     string   `json:"verdict"`
	Interrupted bool     `json:"interrupted"`
	Connections int      `json:"connections"`
	Subscribers int      `json:"subscribers"`
	Publishers  int      `json:"publishers"`
	Size        int      `json:"size"`
	Rate        float64  `json:"rate"`
	Unit        string   `json:"unit"`
	PerSecond   float64  `json:"per_second"`
	Latency     *latency `json:"latency"`
	Server      *server  `json:"server"`
	Stalled     *stalled `json:"stalled"`
	Idle        *idle    `json:"idle"`
}

type latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

type server struct {
	CPUPerMillion float64 `json:"cpu_seconds_per_million"`
	Others        float64 `json:"others_cpu_percent"`
	RSSAfter      float64 `json:"rss_bytes_after"`
}

type stalled struct {
	Subscribers int `json:"subscribers"`
	Ended       int `json:"ended"`
}

type idle struct {
	CPUPercent       float64 `json:"server_cpu_percent"`
	RSSPerConnection float64 `json:"server_rss_bytes_per_connection"`
}

// machine is where it was measured; measure.sh writes one each time it starts.
type machine struct {
	Date       string `json:"date"`
	System     string `json:"system"`
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	Version    string `json:"version"`
}

// measured is everything that was read.
type measured struct {
	machines []machine // each once
	runs     []measurement
}

func (m *measured) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := m.read(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// read reads one object a line. Errors name the line.
func (m *measured) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	number := 1
	for ; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := m.line(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", number, err)
	}
	return nil
}

func (m *measured) line(text []byte) error {
	var object struct {
		Machine *machine `json:"machine"`
		measurement
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	switch r := object.Result; {
	case object.Machine != nil:
		for _, known := range m.machines {
			if known == *object.Machine {
				return nil
			}
		}
		m.machines = append(m.machines, *object.Machine)
		return nil
	case object.Command == "" || r == nil || r.Scenario == "" || r.Verdict == "" || r.Unit == "":
		return errors.New(`neither a machine nor a run: want {"command": …, "result": {"scenario": …, "verdict": …, "unit": …}}`)
	case r.Interrupted:
		return errors.New("the run was interrupted")
	case r.Server == nil:
		return errors.New("the run has no figures of the server: want --server-pid")
	case r.Connections <= 0 || r.Scenario == "fanout" && r.Subscribers <= 0:
		return errors.New("a run without connections")
	case r.Scenario == "idle" && r.Idle == nil:
		return errors.New("a run of idle without its figures")
	}
	m.runs = append(m.runs, object.measurement)
	return nil
}
