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

// ticks is USER_HZ, in which /proc counts time: 100 on every architecture that
// Go runs on.
const ticks = 100

func checkProcess(pid int) error {
	if _, err := readStat(pid); err != nil {
		return fmt.Errorf("%w: there is no process %d that could be measured", ErrOptions, pid)
	}
	return nil
}

// procStat is a line of /proc/PID/stat, as far as it matters here.
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
	// The name, in parentheses, may hold anything.
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

// processUsage adds up a process and its living descendants.
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
			if s, err := readStat(n); err == nil { // it may have ended since
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

// machineCPU returns the busy CPU seconds of the whole machine, and those with
// the idle ones.
func machineCPU() (busy, all float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // guests are in user time already
			continue
		}
		all += n / ticks
		if i != 4 && i != 5 { // idle, waiting for a disk
			busy += n / ticks
		}
	}
	return busy, all
}
