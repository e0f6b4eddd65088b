package cli

import "runtime"

// maxStacks bounds the dump of the goroutines in the log, in bytes.
const maxStacks = 16 << 20

// stacks returns the stacks of all goroutines.
func stacks() []byte {
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxStacks {
			return buf[:n]
		}
	}
}
