package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks is USER_HZ, the unit of times in /proc: 100 on every architecture that
// Go supports.
const ticks = 100

func checkProcess(pid int) error {
	if _, err := readStat(pid); err != nil {
		return fmt.Errorf("%w: process %d cannot be measured: %w", ErrOptions, pid, err)
	}
	return nil
}

// procStat holds the fields of /proc/PID/stat that we need.
type procStat struct {
	pid, parent int
	cpu         float64
	rss         int64
}

var errStat = errors.New("not a line of /proc/PID/stat")

func readStat(pid int) (procStat, error) {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	// The name, in parentheses, may contain anything.
	end := bytes.LastIndexByte(line, ')')
	f := strings.Fields(string(line[end+1:]))
	if len(f) < 22 {
		return procStat{}, errStat
	}
	parent, e1 := strconv.Atoi(f[1])
	user, e2 := strconv.ParseInt(f[11], 10, 64)
	system, e3 := strconv.ParseInt(f[12], 10, 64)
	pages, e4 := strconv.ParseInt(f[21], 10, 64)
	return procStat{pid, parent, float64(user+system) / ticks, pages * int64(os.Getpagesize())}, errors.Join(e1, e2, e3, e4)
}

// processUsage returns the usage of a process and its living descendants.
func processUsage(pid int) usage {
	root, err := readStat(pid)
	if err != nil {
		return usage{}
	}
	u := usage{cpu: root.cpu, rss: root.rss, alive: true}
	children := make(map[int][]procStat)
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return u
	}
	for _, d := range dirs {
		if n, err := strconv.Atoi(d.Name()); err == nil {
			if s, err := readStat(n); err == nil { // it may have ended meanwhile
				children[s.parent] = append(children[s.parent], s)
			}
		}
	}
	for family := []procStat{root}; len(family) > 0; family = family[1:] {
		for _, s := range children[family[0].pid] {
			u.cpu += s.cpu
			u.rss += s.rss
			family = append(family, s)
		}
	}
	return u
}

// machineCPU returns the CPU seconds of the whole machine: the busy ones, and
// all including idle.
func machineCPU() (busy, all float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // user time already includes the guests
			continue
		}
		all += n / ticks
		if i != 4 && i != 5 { // idle or waiting for a disk
			busy += n / ticks
		}
	}
	return busy, all
}
