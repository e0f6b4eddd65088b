// Package hook calls code of the program that embeds the broker, such as its
// Authenticator, so that a panic there ends nothing but the call.
package hook

import (
	"fmt"
	"runtime/debug"
)

// Panic is the error of a hook that panicked. A caller denies what it asked the
// hook about, as for any other error.
type Panic struct {
	Value any    // that the hook panicked with
	Stack []byte // of the panic: the only information about where the fault is
}

// Error returns the text of the panic, without the stack.
func (p *Panic) Error() string { return fmt.Sprintf("hook panicked: %v", p.Value) }

// Report is called with the name of a hook that panicked, before the call
// returns, by the goroutine that called the hook. It writes the log record.
type Report func(name string, p *Panic)

// Guard calls f, which runs the hook of this name. If f panics, Guard reports
// it and returns a [*Panic] as the error.
func Guard[T any](report Report, name string, f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(report, name, r)
		}
	}()
	return f()
}

// Call is [Guard] for a hook that returns nothing but an error.
func Call(report Report, name string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(report, name, r)
		}
	}()
	return f()
}

func panicked(report Report, name string, value any) error {
	p := &Panic{Value: value, Stack: debug.Stack()}
	report(name, p)
	return p
}
