package broker

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// hookPanic is an error that holds the value of a hook's panic.
type hookPanic struct{ value any }

func (p *hookPanic) Error() string { return fmt.Sprintf("hook panicked: %v", p.value) }

// guard turns a panic of a hook into an error, so that the hook denies. It logs
// the stack, which is the only information about the fault, once per second
// while the hook panics for the same reason.
func guard[T any](b *Broker, hook string, f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			b.log(slog.LevelError, "a hook panicked", source{what: hook + " " + brief(fmt.Sprint(r))}, "hook", hook, "panic", r, "stack", string(debug.Stack()))
			err = &hookPanic{r}
		}
	}()
	return f()
}
