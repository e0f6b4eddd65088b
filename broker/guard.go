package broker

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// hookPanic is a panic of a user's hook as an error.
type hookPanic struct{ value any }

func (p *hookPanic) Error() string { return fmt.Sprintf("hook panicked: %v", p.value) }

// guard turns a panic of a user's hook into an error, so that it denies. The log
// gets the stack, which is all there is to find the fault by, once a second while
// it panics for the same reason.
func guard[T any](b *Broker, hook string, f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			b.log(slog.LevelError, "a hook panicked", source{what: hook + " " + brief(fmt.Sprint(r))}, "hook", hook, "panic", r, "stack", string(debug.Stack()))
			err = &hookPanic{r}
		}
	}()
	return f()
}
