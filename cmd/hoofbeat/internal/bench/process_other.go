//go:build !linux

package bench

import "fmt"

func checkProcess(int) error {
	return fmt.Errorf("%w: the process of the server can be measured on Linux only", ErrOptions)
}

func processUsage(int) usage { return usage{} }

func machineCPU() (busy, all float64) { return 0, 0 }
